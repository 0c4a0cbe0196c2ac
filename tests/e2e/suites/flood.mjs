// Hostile datagrams beside a running stream. Smaller than what benches/flood measures, as the browser needs its core too.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { SERVER_ADDRESS, manyAddresses } from '../harness/namespaces.mjs';
import { flood, publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const [RATE, SECONDS] = [20_000, 10];
const DROPPED = ['sluice_udp_received_dropped_datagrams_total', 'sluice_turn_dropped_messages_total', 'sluice_turn_refused_requests_total'];

/// What the server says that it threw away, or answered with a refusal.
async function turnedAway(server) {
  const counts = await Promise.all(DROPPED.map((name) => server.metric(name)));
  return counts.reduce((sum, count) => sum + count);
}

e2e('a stream goes on beside a flood of hostile datagrams, and the server grows no larger', async (scope) => {
  const sources = manyAddresses(scope, 200);
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('calm'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('calm'));
  await viewer.plays();
  const ufrag = /a=ice-ufrag:(\S+)/.exec(viewer.answer)[1];
  const memory = await server.metric('process_resident_memory_bytes');

  const flooding = await flood(scope, SERVER_ADDRESS, sources, { ufrag, rate: RATE, seconds: SECONDS });
  const { numbers, ...watched } = await viewer.watch(SECONDS - 2);
  const { sent, sent_bytes, reply_bytes } = await flooding.message('sent', 30);
  const told = JSON.stringify({ ...watched, sent, sent_bytes, reply_bytes });
  console.log(`# ${told}`);

  assert.equal(watched.state, 'connected', told);
  assert.ok(watched.lost <= 0.001 * (watched.packets + watched.audioPackets), `nearly nothing was lost: ${told}`);
  assert.ok(watched.freezeSeconds <= 0.1 * SECONDS, `the picture moves: ${told}`);
  assert.ok(numbers.at(-1) > numbers[0], told);
  assert.ok(reply_bytes < 0.2 * sent_bytes, `strangers are sent less than they send: ${told}`);
  // It was not the kernel that kept the flood away. Two kinds of eleven are not counted there: what is answered, and what
  // a session itself finds wrong.
  assert.ok(sent > 0.2 * RATE * SECONDS, told);
  await until('the flood to be counted', async () => (await turnedAway(server)) >= 0.7 * sent);
  const grown = (await server.metric('process_resident_memory_bytes')) - memory;
  assert.ok(grown < 16 << 20, `${grown} bytes more`);
});
