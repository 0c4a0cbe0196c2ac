// Clients whose network lets nothing through but TCP to the server's one port.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';

import { chromium, chromiumIn, firefox } from '../harness/browsers.mjs';
import { withTls } from '../harness/certificate.mjs';
import { SERVER_ADDRESS, slowNamespace } from '../harness/namespaces.mjs';
import { mapTcp, onlyTcp } from '../harness/network.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { join, members, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const WATCH_SECONDS = 5;

/// How the newest connection of a page reaches the server.
const route = (page) =>
  page.evaluate(async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()];
    const pair = report.find((one) => one.type === 'candidate-pair' && one.state === 'succeeded' && one.nominated);
    const { protocol, candidateType, port } = report.find((one) => one.id === pair.remoteCandidateId);
    return { protocol, candidateType, port };
  });

for (const browser of [chromium, firefox]) {
  e2e(`${browser.name} publishes and watches where only TCP to one port is let through`, async (scope) => {
    const server = await Server.start(scope);
    onlyTcp(scope, 8080);
    const publisher = await chromium(scope);
    const reply = await publisher.evaluate((url) => probe.publish(url, 'VP8'), server.whip('camera'));
    assert.equal(reply.status, 201, JSON.stringify(reply));
    await until('the camera to be sent', async () => (await publisher.evaluate(() => probe.stats())).sentFrames > 10, 30);
    const viewer = await Viewer.bare(scope, browser, server.whep('camera'));
    await viewer.plays(25, 30);
    for (const page of [publisher, viewer.page]) {
      assert.deepEqual(await route(page), { protocol: 'tcp', candidateType: 'host', port: 8080 });
    }
    const watched = await viewer.watch(WATCH_SECONDS);
    assertGood(watched, { seconds: WATCH_SECONDS, counted: false });
    assert.ok(watched.audioPackets > 0, 'audio comes too');
    assert.ok((await server.metric('sluice_stream_opened_total', { carries: 'ice' })) >= 2);
  });

  e2e(`a call where only TCP to one port is let through, in ${browser.name}`, async (scope) => {
    const server = await Server.start(scope);
    onlyTcp(scope, 8080);
    const pages = { Ada: await members(scope, browser, server), Bob: await members(scope, browser, server) };
    for (const [name, page] of Object.entries(pages)) await join(page, 'strict', name, { watches: true });
    await showsAll(pages.Ada, ['Bob']);
    await showsAll(pages.Bob, ['Ada']);
  });
}

/// How packets of the newest connection of a page reach the relay.
const relayed = (page) =>
  page.evaluate(async () => {
    const report = [...(await probe.connections.at(-1).getStats()).values()];
    const pair = report.find((one) => one.type === 'candidate-pair' && one.state === 'succeeded' && one.nominated);
    const { candidateType, relayProtocol } = report.find((one) => one.id === pair.localCandidateId);
    return { candidateType, relayProtocol };
  });

/// Only relays of this protocol are left for the browser to try.
const onlyRelays = (beginning, ending) => `{
  const { RTCPeerConnection: Wrapped } = window;
  const fits = (url) => url.startsWith('${beginning}') && url.endsWith('${ending}');
  const fit = (configuration) => ({ ...configuration, iceTransportPolicy: 'relay', iceServers: (configuration?.iceServers ?? [])
    .map((server) => ({ ...server, urls: [server.urls].flat().filter(fits) })).filter(({ urls }) => urls.length > 0) });
  window.RTCPeerConnection = class extends Wrapped {
    constructor(configuration) { super(fit(configuration)); }
    setConfiguration(configuration) { super.setConfiguration(fit(configuration)); }
  };
}`;

for (const browser of [chromium, firefox]) {
  for (const [protocol, ...url] of [['tcp', 'turn:', '?transport=tcp'], ['tls', 'turns:', '?transport=tcp']]) {
    e2e(`${browser.name} watches by the relay over ${protocol.toUpperCase()}`, async (scope) => {
      const server = await Server.start(scope, protocol === 'tls' ? withTls(scope) : {});
      const trusting = { trusting: protocol === 'tls' };
      onlyTcp(scope, 8080);
      const publisher = await chromium(scope, undefined, trusting);
      const reply = await publisher.evaluate((to) => probe.publish(to, 'VP8'), server.whip('camera'));
      assert.equal(reply.status, 201, JSON.stringify(reply));
      await until('the camera to be sent', async () => (await publisher.evaluate(() => probe.stats())).sentFrames > 10, 30);
      const scripts = [onlyRelays(...url)];
      const viewer = await Viewer.relayed(scope, browser, server, 'camera', { ...trusting, scripts });
      await viewer.plays(25, 30);
      assert.deepEqual(await relayed(viewer.page), { candidateType: 'relay', relayProtocol: protocol });
      const watched = await viewer.watch(WATCH_SECONDS);
      assert.ok(watched.decoded > 10 * WATCH_SECONDS, JSON.stringify(watched));
    });
  }
}

/// Not below 1024: there Chromium takes 80 and 443 alone, and of public addresses only.
const MAPPED = 8443;

e2e('the TCP port is announced by the number that a router or a container engine maps to it', async (scope) => {
  const url = `https://${SERVER_ADDRESS}:${MAPPED}`;
  const server = await Server.start(scope, { ...withTls(scope), 'http.public_url': url });
  mapTcp(scope, MAPPED, 8080);
  onlyTcp(scope, MAPPED);
  // What is asked of the server from now on goes by the mapped port too.
  server.metricsUrl = `${url}/metrics`;
  const page = await chromium(scope, undefined, { trusting: true });
  const reply = await page.evaluate((to) => probe.publish(to, 'VP8'), `${url}/whip/camera`);
  assert.equal(reply.status, 201, JSON.stringify(reply));
  await until('the camera to be sent', async () => (await page.evaluate(() => probe.stats())).sentFrames > 10, 30);
  assert.deepEqual(await route(page), { protocol: 'tcp', candidateType: 'host', port: MAPPED });
});

e2e('UDP is taken where there is UDP', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  const viewer = await Viewer.bare(scope, chromium, server.whep('studio'));
  await viewer.plays();
  assert.equal((await route(viewer.page)).protocol, 'udp');
});

/// What the server holds in memory, in MiB.
const memory = async (server) => (await server.metric('process_resident_memory_bytes')) / 2 ** 20;

e2e('a reader over TCP that stops costs frames and no memory, and nobody else notices', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('studio'));
  const { name } = slowNamespace(scope);
  onlyTcp(scope, 8080, name);
  // Otherwise the reader's own kernel takes more than this test sends.
  execFileSync('ip', ['netns', 'exec', name, 'sysctl', '-qw', 'net.ipv4.tcp_rmem=4096 16384 16384']);
  const there = (own, address) => chromiumIn(own, name, address);
  const reader = await Viewer.page(scope, there, `${server.url}/watch/studio`);
  await reader.plays();
  assert.equal((await route(reader.page)).protocol, 'tcp');
  const other = await Viewer.bare(scope, chromium, server.whep('studio'));
  await other.plays();
  const before = await memory(server);
  const group = -reader.page.browser().process().pid;
  process.kill(group, 'SIGSTOP');
  scope.defer(() => process.kill(group, 'SIGCONT'));
  const watching = other.watch(WATCH_SECONDS);
  await until('frames to be dropped', async () => (await server.metric('sluice_stream_unsent_frames_total')) > 0, 40);
  assertGood(await watching, { seconds: WATCH_SECONDS });
  const grown = (await memory(server)) - before;
  assert.ok(grown < 16, `${grown} MiB more`);
});

/// Connects and sends `first`, then one byte at a time without end.
function slow(scope, first) {
  const socket = connect(8080, SERVER_ADDRESS);
  socket.on('error', () => {});
  socket.write(first);
  const timer = setInterval(() => socket.writable && socket.write('a'), 1000);
  scope.defer(() => {
    clearInterval(timer);
    socket.destroy();
  });
}

e2e('connections that say nothing, or not all, leave a call unharmed', async (scope) => {
  const server = await Server.start(scope);
  onlyTcp(scope, 8080);
  const pages = { Ada: await members(scope, chromium, server), Bob: await members(scope, chromium, server) };
  for (const [name, page] of Object.entries(pages)) await join(page, 'beset', name, { watches: true });
  const openings = [
    Buffer.alloc(0),
    Buffer.from('GET / HTTP/1.1\r\nx: '),
    Buffer.from([0, 1]), // TURN, or a framed check
    Buffer.from([0, 100, 0, 1, 0, 80, 0x21, 0x12, 0xa4, 0x42]), // A framed check that never ends
    Buffer.from([0x16, 3, 1, 2, 0]), // TLS
  ];
  for (let number = 0; number < 400; number += 1) slow(scope, openings[number % openings.length]);
  await showsAll(pages.Ada, ['Bob']);
  await showsAll(pages.Bob, ['Ada']);
  const late = await members(scope, chromium, server);
  await join(late, 'beset', 'Cyd', { watches: true });
  await showsAll(late, ['Ada', 'Bob']);
  await until('them to be given up', async () => (await server.metric('sluice_stream_closed_total', { reason: 'slow' })) > 0);
});
