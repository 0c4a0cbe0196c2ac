// aiortc publishes, Firefox watches; and what Firefox without H.264 is told.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { publishAiortc, publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const WATCH_SECONDS = 6;

async function assertVp8(viewer) {
  await viewer.plays();
  await viewer.shows('red', 'blue');
  const { codec, audioCodec, audioEnergy } = await viewer.stats();
  assert.deepEqual([codec, audioCodec], ['video/VP8', 'audio/opus']);
  assertGood(await viewer.watch(WATCH_SECONDS, 5), { seconds: WATCH_SECONDS });
  // Firefox without a sound card runs no AudioContext; its receiver tells the energy of what it decoded instead.
  const energy = (await viewer.stats()).audioEnergy - audioEnergy;
  assert.ok(energy > 0.001 * WATCH_SECONDS, `audio above silence: ${energy}`);
}

e2e('aiortc publishes VP8 and Opus, a bare WHEP client in Firefox watches', async (scope) => {
  const server = await Server.start(scope);
  await publishAiortc(scope, server.whip('studio'));
  await assertVp8(await Viewer.bare(scope, firefox, server.whep('studio')));
});

e2e('aiortc publishes, Firefox watches on the watch page', async (scope) => {
  const server = await Server.start(scope);
  await publishAiortc(scope, server.whip('studio'));
  await assertVp8(await Viewer.page(scope, firefox, `${server.url}/watch/studio`));
});

e2e('Firefox without H.264 is told so in words', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));

  const bare = await firefox(scope);
  const reply = await bare.evaluate((address) => probe.watch(address), server.whep('studio'));
  assert.equal(reply.status, 422, JSON.stringify(reply));
  assert.equal(reply.type, 'application/problem+json');
  const problem = JSON.parse(reply.problem);
  assert.equal(problem.status, 422);
  assert.match(problem.detail, /H\.?264/i, 'the problem names the codec');

  const page = await firefox(scope, `${server.url}/watch/studio`);
  await until('the page to name the codec', () => page.evaluate(() => /H\.?264/i.test(document.body.innerText)));

  // The stream is fine: who has the codec goes on watching.
  const other = await Viewer.bare(scope, chromium, server.whep('studio'));
  await other.plays();
});
