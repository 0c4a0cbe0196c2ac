// Viewers on links of different speed: each gets the pictures that its own link carries, and nobody waits for another.

import assert from 'node:assert/strict';

import { chromium, chromiumIn, firefoxIn } from '../harness/browsers.mjs';
import { slowNamespace } from '../harness/namespaces.mjs';
import { join, members, membersAtServer } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { sleep, until } from '../harness/wait.mjs';

const NAMES = ['Ada', 'Bob', 'Cyd'];
/// Of what the publishers capture: from this height on there are three encodings.
const HEIGHT = 540;
const WITHIN = { upgrade: 8, settled: 6 };
/// ms. Where the link changes, a key frame has to get through it: that takes up to a second, and two cores that do all of the
/// encoding and decoding add to it. Shorter ones are told with it, to see what went before.
const LONGEST_FREEZE = 2000;
const WORTH_TELLING = 350;

/// All in one page: the pictures are the browser's own moving ones, which take as many bits as they may.
async function publishers(scope, server) {
  const page = await members(scope, chromium, server);
  for (const name of NAMES) {
    await join(page, 'links', name, { slots: { video: 0, audio: 1 }, picture: undefined });
    await page.evaluate(async (who, height) => {
      const wish = { width: { ideal: (height * 16) / 9 }, height: { ideal: height }, frameRate: { ideal: 15 } };
      await member.rooms[who].publish(await member.sdk.LocalTrack.camera(wish));
    }, name, HEIGHT);
  }
  return page;
}

/// Shows all of them, each as large as it is captured.
async function watch(page) {
  await join(page, 'links', 'viewer', { picture: undefined, watches: true });
  await until('all three tiles', () => page.evaluate((names) => names.every((name) => member.tiles[`${name}/camera`]), NAMES));
  await page.evaluate((height) => {
    for (const video of Object.values(member.tiles)) {
      Object.assign(video.style, { width: `${(height * 16) / 9}px`, height: `${height}px`, position: 'fixed', left: 0, top: 0 });
    }
  }, HEIGHT);
}

/// From now on every longer time without a new frame is noted for each picture, times apart in which it was paused.
function noteFreezes(page) {
  return page.evaluate((least) => {
    window.frozen = [];
    for (const [key, video] of Object.entries(member.tiles)) {
      let last = null;
      const frame = () => {
        const [now, { videoHeight: height }] = [performance.now(), video];
        if (last !== null && now - last.at > least) {
          window.frozen.push({ key, at: Math.round(performance.timeOrigin + last.at) % 1e7, ms: Math.round(now - last.at), from: last.height, to: height });
        }
        // What was on its way when the picture was paused may still come.
        last = video.track.state === 'paused' ? null : { at: now, height };
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
      video.track.addEventListener('state', () => {
        last = video.track.state === 'live' ? (last ?? { at: performance.now(), height: 0 }) : null;
      });
    }
  }, WORTH_TELLING);
}

/// Asserts that no picture stood still for too long since the last time.
async function assertSmooth(page, what) {
  const freezes = await page.evaluate(() => window.frozen.splice(0));
  assert.ok(freezes.every(({ ms }) => ms < LONGEST_FREEZE), `${what}: ${JSON.stringify(freezes)}`);
}

/// The heights of the pictures, the smallest first; 0 for one that is paused.
const heights = (page) => page.evaluate(() =>
  Object.values(member.tiles).map((video) => (video.track.state === 'live' ? video.videoHeight : 0)).sort((one, other) => one - other));

/// Bits per second that came within so many seconds.
async function received(page, seconds) {
  const bytes = () => page.evaluate(async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()];
    return report.filter(({ type }) => type === 'inbound-rtp').reduce((sum, one) => sum + one.bytesReceived + (one.headerBytesReceived ?? 0), 0);
  });
  const before = await bytes();
  await sleep(seconds * 1000);
  return (((await bytes()) - before) * 8) / seconds;
}

const isFull = (all) => all.every((height) => height === HEIGHT);

for (const [name, openIn] of [['Chromium', chromiumIn], ['Firefox', firefoxIn]]) {
  e2e(`${name} gets what its own link carries, and others are not held up`, async (scope) => {
    const slow = slowNamespace(scope);
    slow.limit(600_000);
    const server = await Server.start(scope);
    await publishers(scope, server);
    const fast = await members(scope, chromium, server);
    await watch(fast);
    await until('the fast viewer to see all in full', async () => isFull(await heights(fast)), 30);
    const thin = await membersAtServer((address, more) => openIn(scope, slow.name, address, more), server);
    await watch(thin);
    await until('the thin viewer to see somebody', async () => (await heights(thin)).some((height) => height > 0), 20);
    await sleep(WITHIN.settled * 1000);
    await noteFreezes(fast);
    await noteFreezes(thin);

    const told = async (what) => `${what}: ${JSON.stringify({ thin: await heights(thin), fast: await heights(fast) })}`;
    const rate = await received(thin, 6);
    assert.ok(rate > 200_000 && rate < 620_000, `${Math.round(rate)} bit/s come through a link of 600 kbit/s`);
    assert.ok(!isFull(await heights(thin)), await told('at 600 kbit/s not all is shown in full'));
    await assertSmooth(thin, 'no freeze at 600 kbit/s');

    slow.limit(3_000_000);
    await until('larger pictures after the link became fast', async () => {
      const all = await heights(thin);
      return all.every((height) => height > 0) && all.at(-1) === HEIGHT;
    }, WITHIN.upgrade);
    await sleep(WITHIN.settled * 1000);
    await assertSmooth(thin, 'no freeze on the way up');

    slow.limit(250_000);
    await until('smaller pictures after the link became slow', async () => (await heights(thin)).every((height) => height <= HEIGHT / 2), WITHIN.settled);
    await sleep(WITHIN.settled * 1000);
    assert.ok((await heights(thin)).some((height) => height > 0), await told('somebody is seen at 250 kbit/s'));
    await assertSmooth(thin, 'no freeze on the way down');

    assert.ok(isFull(await heights(fast)), await told('the fast viewer keeps the full pictures'));
    await assertSmooth(fast, 'and none of them froze');
  }, { seconds: 180 });
}
