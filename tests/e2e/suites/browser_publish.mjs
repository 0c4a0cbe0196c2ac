// Chromium publishes its fake camera, on the publish page and by a bare WHIP client in each codec; Chromium watches.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const WATCH_SECONDS = 4;

/// The fake camera's picture has no counter, so only the receiver's own figures are looked at.
async function assertWatchable(scope, server, stream, codec) {
  const viewer = await Viewer.bare(scope, chromium, server.whep(stream));
  const { codec: played } = await viewer.plays();
  assert.equal(played, `video/${codec}`);
  const watched = await viewer.watch(WATCH_SECONDS);
  assertGood(watched, { seconds: WATCH_SECONDS, counted: false });
  assert.ok(watched.audioPackets > 0, 'audio comes too');
  return viewer;
}

for (const codec of ['VP8', 'H264', 'VP9', 'AV1']) {
  e2e(`Chromium publishes ${codec} by WHIP, Chromium watches`, async (scope) => {
    const server = await Server.start(scope);
    const publisher = await chromium(scope);
    const reply = await publisher.evaluate((url, one) => probe.publish(url, one), server.whip('camera'), codec);
    assert.equal(reply.status, 201, JSON.stringify(reply));
    await until('the camera to be sent', async () => (await publisher.evaluate(() => probe.stats())).sentFrames > 10);
    await assertWatchable(scope, server, 'camera', codec);
  });
}

e2e('the publish page goes live', async (scope) => {
  const server = await Server.start(scope);
  const publisher = await chromium(scope, `${server.url}/publish/camera`);
  const button = await publisher.waitForSelector('::-p-xpath(//button[contains(., "Go live")])', { timeout: 10_000 });
  await until('the button to be ready', () => button.evaluate((one) => !one.disabled));
  await button.click();
  const { sentCodec } = await until('the camera to be sent', async () => {
    const now = await publisher.evaluate(() => probe.connections.length > 0 && probe.stats());
    return now.sentFrames > 10 ? now : null;
  });
  await assertWatchable(scope, server, 'camera', sentCodec.replace('video/', ''));
});
