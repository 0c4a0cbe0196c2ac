// FFmpeg publishes H.264 and Opus by WHIP; Chromium watches by a bare WHEP client and by the server's own page.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { SERVER_ADDRESS, SERVER_ADDRESS_6 } from '../harness/namespaces.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const WATCH_SECONDS = 8;

async function assertRightStream(viewer) {
  await viewer.plays();
  const { width, height } = await viewer.shows('red', 'blue');
  assert.deepEqual([width, height], [640, 360]);
  const { codec, audioCodec } = await viewer.stats();
  assert.deepEqual([codec, audioCodec], ['video/H264', 'audio/opus']);
  assertGood(await viewer.watch(WATCH_SECONDS), { seconds: WATCH_SECONDS });
  const heard = await viewer.listen();
  assert.ok(Math.abs(heard.hertz - 440) < 12 && heard.decibels > -60, `the tone is heard: ${JSON.stringify(heard)}`);
}

e2e('FFmpeg publishes H.264 and Opus, a bare WHEP client in Chromium watches', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  await assertRightStream(await Viewer.bare(scope, chromium, server.whep('studio')));
});

e2e('FFmpeg publishes, Chromium watches on the watch page', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  await assertRightStream(await Viewer.page(scope, chromium, `${server.url}/watch/studio`));
});

e2e('the watch page waits for a stream that starts later', async (scope) => {
  const server = await Server.start(scope);
  const viewer = await Viewer.page(scope, chromium, `${server.url}/watch/later`);
  await publishFfmpeg(scope, server.whip('later'));
  await viewer.plays(25, 30);
  await viewer.shows('red', 'blue');
});

e2e('a viewer is served over IPv6', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('six'));
  const page = await chromium(scope);
  const reply = await page.evaluate((address, six) => {
    probe.rewriteAnswer = (sdp) => sdp.split('\r\n').filter((line) => !/^a=candidate/.test(line) || line.includes(six)).join('\r\n');
    return probe.watch(address);
  }, server.whep('six'), SERVER_ADDRESS_6);
  assert.match(reply.answer, new RegExp(`a=candidate:\\S+ 1 udp \\d+ ${SERVER_ADDRESS_6} 3478 typ host`, 'i'));
  const viewer = new Viewer(page);
  await viewer.plays();
  await viewer.shows('red', 'blue');
});

const KEY = 'a-key-for-the-admin-api';

e2e('who publishes with rare key frames is told what to set', async (scope) => {
  const server = await Server.start(scope, { 'admin.listen': `${SERVER_ADDRESS}:8081`, 'admin.key': KEY });
  await publishFfmpeg(scope, server.whip('rare'), { gop: 8 });
  const viewer = await Viewer.bare(scope, chromium, server.whep('rare'));
  const advice = async () => {
    const reply = await fetch(`http://${SERVER_ADDRESS}:8081/admin/rooms/rare`, { headers: { Authorization: `Bearer ${KEY}` } });
    return (await reply.json()).participants[0].session.advice;
  };
  const [said] = await until('advice', async () => (await advice()).length === 1 && advice(), 30);
  assert.match(said, /^Key frames are [78] s apart, .*Keyframe Interval to 1 s/);
  assert.equal(server.log.split('Key frames are').length, 2, 'the log says it once');
  await viewer.plays();
}, { seconds: 60 });

e2e('who publishes as it should is told nothing', async (scope) => {
  const server = await Server.start(scope, { 'admin.listen': `${SERVER_ADDRESS}:8081`, 'admin.key': KEY });
  await publishFfmpeg(scope, server.whip('well'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('well'));
  await viewer.plays();
  await viewer.watch(5);
  assert.doesNotMatch(server.log, /Key frames|B-frames/);
});
