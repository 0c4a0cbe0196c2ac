// Pictures with several layers in one stream (SVC), as Chromium encodes them: each viewer gets as many as its link carries,
// and decodes them without a fault.

import assert from 'node:assert/strict';

import { chromium, chromiumIn } from '../harness/browsers.mjs';
import { slowNamespace } from '../harness/namespaces.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { sleep, until } from '../harness/wait.mjs';
import { Viewer } from '../harness/viewer.mjs';

const HEIGHT = 540;
const LINKS = { wide: 5_000_000, narrow: 300_000 };
const WITHIN = { narrow: 8, settled: 3, wide: 20 };
/// "simulcast" stands for three streams.
const MODES = [['VP9', 'L2T2'], ['VP9', 'L3T3_KEY'], ['VP9', 'L3T3'], ['VP9', 'simulcast'], ['AV1', 'L2T2']];
/// ms. The encoder and all decoders share two cores, and a link that breaks down may take a key frame.
const LONGEST_FREEZE = 2000;

/// Publishes the stream, and waits until it flows as was asked for.
async function publish(page, server, codec, mode) {
  const how = mode === 'simulcast' ? { sendEncodings: SIMULCAST } : { mode };
  const reply = await page.evaluate((...words) => probe.publish(...words), server.whip('layers'), codec, undefined, { ...how, height: HEIGHT, fps: 15 });
  assert.equal(reply.status, 201, JSON.stringify(reply));
  const sent = () => page.evaluate(async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()];
    return report.filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video').map(({ scalabilityMode, framesEncoded }) => ({ scalabilityMode, framesEncoded }));
  });
  await until('frames', async () => (await sent()).every(({ framesEncoded }) => framesEncoded > 10), 20);
  const modes = (await sent()).map(({ scalabilityMode }) => scalabilityMode);
  assert.deepEqual(modes, mode === 'simulcast' ? ['L1T3', 'L1T3', 'L1T3'] : [mode], 'that is what Chromium sends');
}

/// Plays a stream by the server's own player, which asks for what browsers do not ask for by themselves.
async function watch(page, url) {
  await page.evaluate(async (address) => {
    const { WhepClient } = await import('/assets/whep.js');
    document.body.replaceChildren(document.createElement('video'));
    const [client, video] = [new WhepClient(address), probe.video()];
    client.addEventListener('stream', () => Object.assign(video, { muted: true, srcObject: client.stream }).play());
    client.start();
  }, url);
  return new Viewer(page);
}

/// From now on the longest time without a new frame is noted.
const noteFreezes = (viewer) => viewer.page.evaluate(() => {
  let last = performance.now();
  window.longest = 0;
  const frame = () => {
    const now = performance.now();
    window.longest = Math.max(window.longest, now - last);
    last = now;
    probe.video().requestVideoFrameCallback(frame);
  };
  probe.video().requestVideoFrameCallback(frame);
});

const height = (viewer) => viewer.page.evaluate(() => probe.video().videoHeight);

/// What comes is decoded, and no picture stood still for too long since the last time.
async function assertClean(viewer, what, share = 0.9) {
  const before = await viewer.stats();
  await sleep(4000);
  const after = await viewer.stats();
  const [received, decoded] = [after.received - before.received, after.decoded - before.decoded];
  assert.ok(received > 15 && decoded >= received * share, `${what}: ${decoded} of ${received} frames are decoded`);
  const longest = await viewer.page.evaluate(() => [window.longest, (window.longest = 0)][0]);
  assert.ok(longest < LONGEST_FREEZE, `${what}: ${Math.round(longest)} ms without a new frame`);
}

/// A quarter, a half and the whole, each a stream of its own with temporal layers.
const SIMULCAST = [4, 2, 1].map((by) => ({ rid: `r${by}`, scaleResolutionDownBy: by, scalabilityMode: 'L1T3' }));

for (const [codec, mode] of MODES) {
  e2e(`${codec} ${mode}: a thin viewer gets a smaller picture, another the whole`, async (scope) => {
    const slow = slowNamespace(scope);
    slow.limit(LINKS.wide);
    const server = await Server.start(scope);
    const publisher = await chromium(scope);
    await publish(publisher, server, codec, mode);
    const [fast, thin] = [
      await watch(await chromium(scope, `${server.url}/`), server.whep('layers')),
      await watch(await chromiumIn(scope, slow.name, `${server.url}/`), server.whep('layers')),
    ];
    for (const viewer of [fast, thin]) {
      await until('the whole picture', async () => (await height(viewer)) === HEIGHT, 20);
      await noteFreezes(viewer);
    }
    await assertClean(thin, 'on a wide link');

    slow.limit(LINKS.narrow);
    await until('a smaller picture', async () => (await height(thin)) < HEIGHT, WITHIN.narrow);
    await sleep(WITHIN.settled * 1000);
    // More is tried now and then, and what came of a layer that is left again is not shown.
    await assertClean(thin, 'on a narrow link', 0.75);
    assert.ok((await height(thin)) < HEIGHT, 'the picture stays small');

    slow.limit(LINKS.wide);
    await until('the whole picture again', async () => (await height(thin)) === HEIGHT, WITHIN.wide);
    await assertClean(thin, 'on a wide link again');
    assert.equal(await height(fast), HEIGHT, 'the fast viewer has the whole picture');
    await assertClean(fast, 'beside all that');
  }, { seconds: 120 });
}

e2e('a player that cannot tell AV1 layers apart gets the lowest', async (scope) => {
  const server = await Server.start(scope);
  await publish(await chromium(scope), server, 'AV1', 'L2T2');
  const viewer = await Viewer.bare(scope, chromium, server.whep('layers'));
  await viewer.plays();
  assert.equal(await height(viewer), HEIGHT / 2);
  await noteFreezes(viewer);
  await assertClean(viewer, 'the lowest layer');
});
