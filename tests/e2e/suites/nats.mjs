// Clients behind routers that make it hard: another port for each destination, and another address all of a sudden.

import assert from 'node:assert/strict';
import { get } from 'node:http';

import { chromiumIn } from '../harness/browsers.mjs';
import * as net from '../harness/internet.mjs';
import { samples, sum } from '../harness/metrics.mjs';
import { changeAddress } from '../harness/namespaces.mjs';
import { publishFfmpeg } from '../harness/peers.mjs';
import { join, membersAtServer, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { sleep, until } from '../harness/wait.mjs';

/// A server behind 1:1 NAT, as clouds have it.
async function cloudServer(scope, announced = net.PUBLIC) {
  const machine = net.cloudMachine(scope);
  const settings = { 'http.listen': '0.0.0.0:8080', 'media.announce': announced };
  return Server.start(scope, settings, { namespace: machine, url: `http://${net.PUBLIC}:8080` });
}

/// A page in a home, which counts as secure.
function pageIn(scope, home, server, path, more) {
  const args = [`--unsafely-treat-insecure-origin-as-secure=${server.url}`];
  return chromiumIn(scope, home, `${server.url}${path}`, { args, ...more });
}

/// Over which connection a page has its media: UDP without a relay, as the way is open.
function path(page) {
  return page.evaluate(async () => {
    const reports = [...(await probe.connections.at(-1).getStats()).values()];
    const find = (id) => reports.find((one) => one.id === id);
    const pair = find(reports.find((one) => one.type === 'transport').selectedCandidatePairId);
    const { protocol, candidateType } = find(pair.localCandidateId);
    return `${protocol} ${candidateType === 'relay' ? 'relayed' : 'direct'}`;
  });
}

e2e('a viewer behind a symmetric NAT', async (scope) => {
  const server = await cloudServer(scope);
  const home = net.home(scope, { symmetric: true });
  await publishFfmpeg(scope, server.whip('office'));
  const viewer = new Viewer(await pageIn(scope, home, server, '/watch/office'));
  await viewer.plays();
  await viewer.shows('red', 'blue');
  assert.equal(await path(viewer.page), 'udp direct');
}, { seconds: 120 });

e2e('a call with two people behind a symmetric NAT', async (scope) => {
  const server = await cloudServer(scope);
  const home = net.home(scope, { symmetric: true });
  const open = (_, more) => pageIn(scope, home, server, '/', more);
  const pages = { Ada: await membersAtServer(open, server), Bob: await membersAtServer(open, server) };
  for (const [name, page] of Object.entries(pages)) await join(page, 'symmetric', name, { watches: true });
  await showsAll(pages.Ada, ['Bob']);
  await showsAll(pages.Bob, ['Ada']);
  for (const page of Object.values(pages)) assert.equal(await path(page), 'udp direct');
}, { seconds: 120 });

/// How long it takes until `count` grows again, which it may still do for some milliseconds, when everybody in a home has another address in the world all of a sudden.
async function secondsWithout(scope, count, underWay = 300) {
  const begun = Date.now();
  changeAddress(scope);
  // What is under way is over then.
  await sleep(underWay);
  const before = await until('a first count', count);
  await until('something to come again', async () => (await count()) > before + 3, 30);
  const seconds = (Date.now() - begun) / 1000;
  console.log(`# again after ${seconds} s`);
  return seconds;
}

/// The metrics by a connection of its own: those that were open bear the old address.
async function freshly(url) {
  const text = await new Promise((resolve, reject) => {
    const request = get(url, { agent: false, timeout: 2_000 }, (reply) => {
      let body = '';
      reply.on('data', (part) => (body += part)).on('end', () => resolve(body));
    });
    request.on('error', reject).on('timeout', () => request.destroy(new Error('no reply')));
  });
  return samples(text);
}

/// Nobody in a home hears of the router's new address. Browsers check the path each 2.5 s, and media follows the check.
const FOLLOWS = 6;

e2e('a WHEP viewer whose router has another address all of a sudden', async (scope) => {
  // The publisher stands before the router, where it knows the machine by its own address only.
  const server = await cloudServer(scope, net.MACHINE);
  const home = net.home(scope);
  await publishFfmpeg(scope, `http://${net.MACHINE}:8080/whip/moved`, { namespace: net.GATEWAY });
  const viewer = new Viewer(await pageIn(scope, home, server, '/watch/moved'));
  await viewer.plays();
  const seconds = await secondsWithout(scope, async () => (await viewer.stats()).decoded);
  assert.ok(seconds < FOLLOWS, `it took ${seconds} s`);
  assert.equal(await viewer.page.evaluate(() => probe.connections.length), 1, 'it is the same session');
}, { seconds: 120 });

e2e('a WHIP publisher whose router has another address all of a sudden', async (scope) => {
  const server = await cloudServer(scope);
  const page = await pageIn(scope, net.home(scope), server, '/');
  const published = await page.evaluate((url) => probe.publish(url, 'VP8'), server.whip('reporter'));
  assert.equal(published.status, 201);
  const heard = async () => sum(await freshly(server.metricsUrl), 'sluice_media_received_packets_total');
  await until('the stream to be there', async () => (await heard()) > 100);
  // Counters are told once a second.
  const seconds = await secondsWithout(scope, heard, 1_100);
  assert.ok(seconds < FOLLOWS + 2, `it took ${seconds} s`);
  assert.equal(await server.metric('sluice_sessions_started_total'), 1, 'it is the same session');
}, { seconds: 120 });
