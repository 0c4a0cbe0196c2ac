// A publisher and a viewer whose ports are blocked go on by an ICE restart on the sessions that they have.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { blockOpenPorts } from '../harness/network.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { sleep, until } from '../harness/wait.mjs';

/// How long media may take to be back, from the first PATCH on.
const BACK_WITHIN = 2;

e2e('the pages for publishing and watching find another path by themselves', async (scope) => {
  const server = await Server.start(scope, { 'media.tcp': false });
  const publisher = await chromium(scope, `${server.url}/publish/camera`);
  const button = await publisher.waitForSelector('::-p-xpath(//button[contains(., "Go live")])', { timeout: 10_000 });
  await until('the button to be ready', () => button.evaluate((one) => !one.disabled));
  await button.click();
  await until('the camera to be sent', async () => {
    const now = await publisher.evaluate(() => probe.connections.length > 0 && probe.stats());
    return now && now.sentFrames > 10;
  });
  const viewer = await Viewer.page(scope, chromium, `${server.url}/watch/camera`);
  await viewer.plays();
  const before = await viewer.stats();

  blockOpenPorts(scope);
  const decoded = async () => (await viewer.stats()).decoded;
  await until('the picture to stand still', async () => {
    const still = await decoded();
    await sleep(300);
    return (await decoded()) === still;
  });
  const still = await decoded();
  await until('the picture to move again', async () => (await decoded()) > still + 25, 30);
  const after = await viewer.stats();
  assert.deepEqual([after.connections, after.posts], [before.connections, before.posts], 'the viewer goes on with what it had');
  assert.equal(await publisher.evaluate(() => probe.connections.length), 1, 'and the publisher too');
});

for (const browser of [chromium, firefox]) {
  e2e(`Chromium publishes, ${browser.name} watches, and both restart ICE by PATCH`, async (scope) => {
    const server = await Server.start(scope, { 'media.tcp': false });
    const publisher = await chromium(scope);
    const reply = await publisher.evaluate((url) => probe.publish(url, 'VP8'), server.whip('camera'));
    assert.equal(reply.status, 201, JSON.stringify(reply));
    await until('the camera to be sent', async () => (await publisher.evaluate(() => probe.stats())).sentFrames > 10);
    const viewer = await Viewer.bare(scope, browser, server.whep('camera'));
    await viewer.plays();

    blockOpenPorts(scope);
    const decoded = async () => (await viewer.stats()).decoded;
    await until('the picture to stand still', async () => {
      const before = await decoded();
      await sleep(300);
      return (await decoded()) === before;
    });
    const before = await decoded();
    const began = Date.now();
    for (const page of [publisher, viewer.page]) {
      const { status, etag, fragment } = await page.evaluate(() => probe.restartIce());
      assert.equal(status, 200, fragment);
      assert.match(etag, /^"[^"]+"$/);
    }
    await until('the picture to move again', async () => (await decoded()) > before + 5, 10);
    const seconds = (Date.now() - began) / 1000;
    console.log(`# media is back after ${seconds} s`);
    assert.ok(seconds < BACK_WITHIN, `it took ${seconds} s`);
    const watched = await viewer.watch(4);
    // What was lost meanwhile still comes, so that the loss may fall.
    assertGood({ ...watched, lost: Math.max(0, watched.lost) }, { seconds: 4, counted: false });
    assert.equal(await server.metric('sluice_sessions_started_total'), 2, 'nobody began anew');
  });
}
