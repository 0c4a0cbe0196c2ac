// Garbage on the media port and wrong HTTP requests: each is refused or counted, and a stream that runs beside them
// does not notice.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { promisify } from 'node:util';

import { chromium } from '../harness/browsers.mjs';
import { SERVER_ADDRESS } from '../harness/namespaces.mjs';
import { publishAiortc, publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { sleep, until } from '../harness/wait.mjs';

const DATAGRAMS = 2000;
const OFFER_HEAD = 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n';

/// A small seeded generator (mulberry32), so that a failure can be played again.
function seeded(seed) {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

/// One bad datagram: noise, a broken STUN request, or something that starts like DTLS, RTP or RTCP.
function garbage(random) {
  const bytes = Buffer.from(Array.from({ length: random(1400) }, () => random(256)));
  const start = [
    () => [],
    () => [0, 1, 0, random(256), 0x21, 0x12, 0xa4, 0x42], // STUN binding request whose length is not true
    () => [20 + random(44), 254, 253, 0, 0], // DTLS record
    () => [128, random(128), 0, random(256)], // RTP
    () => [129, 200 + random(8), 0, random(256)], // RTCP
    () => [64 + random(16), 0, 255, 255], // TURN channel data
  ][random(6)]();
  Buffer.from(start).copy(bytes);
  return bytes;
}

async function sendGarbage(seed) {
  const random = seeded(seed);
  const socket = createSocket('udp4');
  const send = promisify(socket.send.bind(socket));
  for (let sent = 0; sent < DATAGRAMS; sent += 1) {
    await send(garbage(random), 3478, SERVER_ADDRESS);
    if (sent % 50 === 49) {
      await sleep(20); // The kernel's receive buffer is not what is tested here.
    }
  }
  socket.close();
}

/// An offer of 10,000 lines.
const longOffer = () => OFFER_HEAD + 'a=x-filler:1\r\n'.repeat(10_000);

/// [what, method, path, headers, body, the statuses that are right]
const WRONG = [
  ['no content type', 'POST', '/whip/bad', {}, Buffer.from('v=0'), [415]],
  ['a wrong content type', 'POST', '/whip/bad', { 'Content-Type': 'text/plain' }, 'v=0', [415]],
  ['a wrong content type', 'POST', '/whep/studio', { 'Content-Type': 'application/json' }, '{}', [415]],
  ['no SDP at all', 'POST', '/whip/bad', 'sdp', 'hello', [400]],
  ['an empty body', 'POST', '/whip/bad', 'sdp', '', [400]],
  ['an offer without media', 'POST', '/whip/bad', 'sdp', OFFER_HEAD, [400, 422]],
  ['an offer of 10,000 lines', 'POST', '/whip/bad', 'sdp', longOffer(), [400, 413]],
  ['an offer of 10,000 lines', 'POST', '/whep/studio', 'sdp', longOffer(), [400, 413]],
  ['a body of 4 MB', 'POST', '/whip/bad', 'sdp', 'v=0\r\n'.padEnd(4_000_000, 'a'), [413]],
  ['a stream name with a space', 'POST', '/whip/a%20b', 'sdp', OFFER_HEAD, [400, 404]],
  ['a stream name of 129 letters', 'POST', `/whip/${'a'.repeat(129)}`, 'sdp', OFFER_HEAD, [400, 404]],
  ['an unknown session', 'DELETE', '/whip/studio/nosuchsession', {}, undefined, [404]],
  ['an unknown session', 'PATCH', '/whep/studio/nosuchsession', { 'Content-Type': 'application/trickle-ice-sdpfrag' }, '', [404]],
  ['a method that is not there', 'PUT', '/whip/studio', 'sdp', OFFER_HEAD, [405]],
  ['a method that is not there', 'DELETE', '/whep/studio', {}, undefined, [405]],
  ['a path that is not there', 'GET', '/nothing/here', {}, undefined, [404]],
];

async function assertRefused(server, [what, method, path, headers, body, statuses]) {
  const reply = await fetch(server.url + path, {
    method,
    headers: headers === 'sdp' ? { 'Content-Type': 'application/sdp' } : headers,
    body,
  });
  const text = await reply.text();
  const told = `${what} (${method} ${path.slice(0, 40)}): ${reply.status} ${text.slice(0, 300)}`;
  assert.ok(statuses.includes(reply.status), told);
  assert.equal(reply.headers.get('Content-Type'), 'application/problem+json', told);
  const problem = JSON.parse(text);
  assert.equal(problem.status, reply.status, told);
  for (const key of ['type', 'title', 'detail']) {
    assert.ok(problem[key]?.length > 0, `${told}: ${key} is missing`);
  }
  return reply;
}

e2e('garbage and wrong requests beside a stream that does not notice', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('studio'));
  await viewer.plays();
  // What looks like TURN is for the relay to drop.
  const drops = async () =>
    (await server.metric('sluice_udp_received_dropped_datagrams_total')) + (await server.metric('sluice_turn_dropped_messages_total'));
  const dropsBefore = await drops();

  const bad = (async () => {
    await sendGarbage(20261122);
    for (const wrong of WRONG) {
      await assertRefused(server, wrong);
    }
  })();
  const watched = await viewer.watch(8);
  await bad;
  assertGood(watched, { seconds: 8 });
  assertGood(await viewer.watch(2), { seconds: 2 });

  let counted;
  await until('the garbage to be counted', async () => {
    counted = (await drops()) - dropsBefore;
    return counted >= DATAGRAMS * 0.95;
  }, 5).catch((error) => {
    throw new Error(`${error.message}: ${counted} of ${DATAGRAMS}`);
  });
});

e2e('a stream that nobody publishes: 409 and when to ask again', async (scope) => {
  const server = await Server.start(scope);
  const page = await chromium(scope);
  const reply = await page.evaluate((url) => probe.watch(url), server.whep('nobody'));
  assert.equal(reply.status, 409, JSON.stringify(reply));
  assert.equal(reply.type, 'application/problem+json');
  const direct = await assertRefused(server, [
    'nobody publishes', 'POST', '/whep/nobody', 'sdp',
    (await page.evaluate(() => probe.connections[0].localDescription?.sdp ?? '')) || OFFER_HEAD, [409],
  ]);
  assert.match(direct.headers.get('Retry-After') ?? '', /^\d+$/);
});

e2e('a publisher with an RSA certificate: the log says what it needs', async (scope) => {
  const server = await Server.start(scope);
  await assert.rejects(publishAiortc(scope, server.whip('studio'), { certificate: 'rsa' }));
  assert.match(server.log, /DTLS handshake failed; clients need an ECDSA certificate/);
  assert.match(server.log, /reason="dtls_failed"/);
});
