// The server's own relay: browsers that may use nothing else see and hear. Over TCP and TLS: tcp.mjs.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { publishAiortc } from '../harness/peers.mjs';
import { join, members, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const SECONDS = 4;
/// In VP8, which Firefox has in a fresh profile, too.
const STREAM = { left: 'red', right: 'blue', fps: 15 };

/// How the newest connection of a page reaches the server: the pair of candidates that carries its packets.
const path = (page) =>
  page.evaluate(async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()];
    const find = (id) => report.find((one) => one.id === id) ?? {};
    const transport = report.find(({ type }) => type === 'transport');
    const pair = transport?.selectedCandidatePairId
      ? find(transport.selectedCandidatePairId)
      : report.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
    const { candidateType, relayProtocol } = find(pair?.localCandidateId);
    return { candidateType, relayProtocol };
  });

async function assertRelayed(page) {
  const { candidateType, relayProtocol } = await path(page);
  assert.equal(candidateType, 'relay');
  // Where the relay is there over UDP and TCP, browsers may stay with what answers first.
  assert.match(relayProtocol, /^(udp|tcp)$/);
}

async function watch(scope, open, server, stream) {
  const viewer = await Viewer.relayed(scope, open, server, stream);
  await viewer.plays();
  await viewer.shows('red', 'blue');
  await assertRelayed(viewer.page);
  assertGood(await viewer.watch(SECONDS, open === firefox ? 5 : 1), { seconds: SECONDS });
}

/// Everything that relayed clients sent and were sent came through.
async function assertCounted(server, allocations) {
  assert.ok((await server.metric('sluice_turn_allocations')) >= allocations);
  for (const name of ['received', 'sent']) {
    // Counters are told once a second.
    await until(`packets ${name}`, async () => (await server.metric(`sluice_turn_${name}_packets_total`)) > 100);
  }
  assert.equal(await server.metric('sluice_udp_received_dropped_datagrams_total', { reason: 'forged' }), 0);
}

e2e('a WHEP player in Chromium and one in Firefox watch through the relay alone', async (scope) => {
  const server = await Server.start(scope);
  await publishAiortc(scope, server.whip('studio'), STREAM);
  await watch(scope, chromium, server, 'studio');
  await watch(scope, firefox, server, 'studio');
  await assertCounted(server, 1);
}, { seconds: 120 });

e2e('a room of Chromium and Firefox, through the relay alone, with several media threads', async (scope) => {
  const server = await Server.start(scope, { 'worker.count': 3 });
  const pages = {};
  for (const [name, open] of [['Ada', chromium], ['Bob', firefox], ['Cyd', chromium]]) {
    pages[name] = await members(scope, open, server);
    await join(pages[name], 'behind', name, { fps: 10, watches: true, iceTransportPolicy: 'relay' });
  }
  for (const [name, page] of Object.entries(pages)) {
    await showsAll(page, Object.keys(pages).filter((other) => other !== name));
    await assertRelayed(page);
  }
  await assertCounted(server, 3);
}, { seconds: 120 });

e2e('who is told of the relay and can do without it does', async (scope) => {
  const server = await Server.start(scope);
  const pages = {};
  for (const [name, open] of [['Ada', chromium], ['Bob', firefox]]) {
    pages[name] = await members(scope, open, server);
    await join(pages[name], 'open', name, { fps: 10, watches: true });
  }
  await showsAll(pages.Ada, ['Bob']);
  await showsAll(pages.Bob, ['Ada']);
  for (const page of Object.values(pages)) assert.notEqual((await path(page)).candidateType, 'relay');
  assert.equal(await server.metric('sluice_turn_allocations_total'), 0);
});
