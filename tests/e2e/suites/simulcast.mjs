// A camera that is published in several sizes at once, by the client module.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { join, members } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const KEY = 'the-key-of-the-operator';

/// A server whose admin API tells what it receives.
async function observed(scope) {
  const server = await Server.start(scope, { 'admin.listen': `${SERVER_ADDRESS}:8081`, 'admin.key': KEY });
  const ask = async (path) =>
    (await fetch(`http://${SERVER_ADDRESS}:8081/admin/rooms/sizes${path}`, { headers: { Authorization: `Bearer ${KEY}` } })).json();
  const sessionOf = async (name) => (await ask('')).participants?.find((one) => one.name === name)?.session;
  return { server, ask, sessionOf };
}

/// Publishes the browser's own camera. `simulcast` is the module's option.
function publish(page, name, simulcast) {
  return page.evaluate(async (who, sizes) => {
    member.camera = await member.sdk.LocalTrack.camera();
    await member.rooms[who].publish(member.camera, sizes === null ? undefined : { simulcast: sizes });
  }, name, simulcast ?? null);
}

/// The encodings that a page sends now: name, height and frames sent so far, the smallest first.
function sent(page) {
  return page.evaluate(async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()];
    const all = report.filter(({ type, kind, rid }) => type === 'outbound-rtp' && kind === 'video' && rid);
    return ['q', 'h', 'f'].map((name) => all.find(({ rid }) => rid === name)).filter(Boolean)
      .map(({ rid, frameHeight, framesSent, framesEncoded }) => ({ rid, height: frameHeight ?? 0, frames: framesSent ?? framesEncoded ?? 0 }));
  });
}

/// Which of them grew within a moment.
async function flowing(page) {
  const before = await sent(page);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const after = await sent(page);
  return after.filter(({ frames }, index) => frames > (before[index]?.frames ?? 0)).map(({ rid }) => rid).join('');
}

/// The height of the picture that a viewer shows of somebody.
function shown(page, name) {
  return page.evaluate((who) => {
    const video = member.tiles[`${who}/camera`];
    return video && getComputedStyle(video).visibility !== 'hidden' ? video.videoHeight : 0;
  }, name);
}

for (const [name, browser, sizes] of [['Chromium', chromium, 3], ['Firefox', firefox, 2]]) {
  e2e(`${name} sends its camera in several sizes, and others see it`, async (scope) => {
    const { server, sessionOf } = await observed(scope);
    const publisher = await members(scope, browser, server);
    await join(publisher, 'sizes', 'Ada');
    await publish(publisher, 'Ada');
    const viewer = await members(scope, chromium, server);
    await join(viewer, 'sizes', 'viewer', { watches: true });

    const encodings = async () => Math.max(...((await sessionOf('Ada'))?.sends ?? []).map((one) => one.encodings));
    await until(`${sizes} encodings`, async () => (await encodings()) >= sizes, 30);
    await until('a picture', async () => (await shown(viewer, 'Ada')) > 0);

    // Another device is sent in the same way.
    await publisher.evaluate(() => member.camera.replace({ deviceId: undefined }));
    await until('several sizes after a change of the device', async () => (await flowing(publisher)).length >= sizes - 1, 20);
    assert.deepEqual(publisher.said.filter((line) => line.startsWith('uncaught')), []);
  });
}

e2e('what is not used of a camera is not sent, and comes back at once', async (scope) => {
  const { server, ask, sessionOf } = await observed(scope);
  const publisher = await members(scope, chromium, server);
  await join(publisher, 'sizes', 'Ada');
  await publish(publisher, 'Ada');
  const viewer = await members(scope, chromium, server);
  await join(viewer, 'sizes', 'viewer', { watches: true });
  await until('the smaller sizes', async () => (await flowing(publisher)).startsWith('qh'), 30);

  /// Shows the picture in so many lines; in none.
  const show = (lines) => viewer.evaluate((height) => {
    const video = member.tiles['Ada/camera'];
    Object.assign(video.style, { position: 'fixed', left: 0, top: 0, width: `${(height * 16) / 9}px`, height: `${height}px` });
    video.hidden = height === 0;
  }, lines);
  await show(100);
  await until('the smallest alone', async () => (await flowing(publisher)) === 'q', 12);
  await show(480);
  await until('more than that', async () => /h|f/.test(await flowing(publisher)), 12);
  await until('the larger picture', async () => (await shown(viewer, 'Ada')) > 200, 6);

  await publish(publisher, 'Ada', false);
  await until('one size', async () => (await flowing(publisher)).length === 1, 10);
  await until('the picture of that one', async () => (await shown(viewer, 'Ada')) > 0);

  // What became of it in the last minutes is told to operators.
  const { id } = await sessionOf('viewer');
  const { samples } = await ask(`/sessions/${id}`);
  assert.ok(samples.length > 2 && samples.some((sample) => sample.sent > 50_000), JSON.stringify(samples.slice(-5)));
});
