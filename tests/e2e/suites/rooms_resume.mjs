// Connections that break: a WebSocket, a peer connection, a tab, a browser, the server.

import assert from 'node:assert/strict';

import { chromium, firefox, kill } from '../harness/browsers.mjs';
import { Caller, PEOPLE, join, members, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { sleep, until } from '../harness/wait.mjs';

const GONE_AFTER = 30;

const state = (viewer, name) => viewer.evaluate((one) => member.peer('Ada', one)?.state, name);

/// Ada watches the one called `name` while something happens. Answers with what it looked like, and with the states that
/// she was told of.
async function observe(viewer, name, happening) {
  const end = await viewer.evaluateHandle((one, picture) => {
    const { Ada } = member.rooms;
    const states = [];
    const take = ({ detail: { peer } }) => peer.name === one && states.push(peer.state);
    Ada.addEventListener('peer-changed', take);
    const stop = cast.watch([member.tiles[`${one}/camera`]], () => picture);
    return () => (Ada.removeEventListener('peer-changed', take), { ...stop(), states });
  }, name, PEOPLE[name].picture);
  await happening();
  return end.evaluate((stop) => stop());
}

/// Closes the WebSocket of the participant on that page without a goodbye.
const cut = (page) => page.evaluate(() => cast.sockets.at(-1).close(3000));

function assertNoGap(seen, what) {
  const told = `${what}: ${JSON.stringify(seen)}`;
  assert.deepEqual(seen.wrong, {}, told);
  assert.ok(seen.longestGap < 700 + seen.longestStall, `frames go on: ${told}`);
}

async function shortCut(viewer, bob) {
  const seen = await observe(viewer, 'Bob', async () => {
    await cut(bob);
    await until('the room to be resumed', () => bob.evaluate(() => cast.sockets.length === 2 && cast.sockets[1].readyState === 1));
    await sleep(2500);
  });
  assertNoGap(seen, 'a short cut');
  assert.deepEqual(seen.states, [], 'nobody is told of a short cut');
  assert.deepEqual(await bob.evaluate(() => [member.rooms.Bob.states, probe.connections.length]), [['joining', 'joined'], 1]);
}

async function longCut(viewer, bob) {
  const seen = await observe(viewer, 'Bob', async () => {
    await bob.evaluate(() => (cast.cut = true));
    await cut(bob);
    await until('the break to be told', async () => (await state(viewer, 'Bob')) === 'reconnecting', 5);
    await until('the break to be shown to Bob', () => bob.evaluate(() => member.rooms.Bob.state === 'reconnecting'), 5);
    await bob.evaluate(() => {
      cast.cut = false;
      dispatchEvent(new Event('online'));
    });
    await until('Bob to be back', async () => (await state(viewer, 'Bob')) === 'here');
  });
  assertNoGap(seen, 'a long cut');
  assert.equal(await bob.evaluate(() => probe.connections.length), 1, 'on the same peer connection');
}

async function deadMedia(viewer, bob) {
  const before = await viewer.evaluate(() => member.peer('Ada', 'Bob').id);
  await bob.evaluate(() => probe.connections.at(-1).close());
  await until('another peer connection', () => bob.evaluate(() => probe.connections.length === 2 && member.rooms.Bob.state === 'joined'), 30);
  await until('the picture to be back', () => viewer.evaluate((picture) => cast.look(member.tiles['Bob/camera']) === picture, PEOPLE.Bob.picture));
  assert.equal(await viewer.evaluate(() => member.peer('Ada', 'Bob').id), before, 'the same participant');
}

/// Ada's own peer connection: the picture goes on in the tile that it had.
async function deadMediaOfViewer(viewer, name) {
  await viewer.evaluate(() => probe.connections.at(-1).close());
  await until('another peer connection', () => viewer.evaluate(() => probe.connections.length === 2 && member.rooms.Ada.state === 'joined'), 30);
  const seen = await observe(viewer, name, () => sleep(2000));
  assert.ok(seen.frames > 5, `the picture goes on: ${JSON.stringify(seen)}`);
  // Chromium paints an element black when its connection is closed.
  assert.deepEqual(Object.keys(seen.wrong).filter((what) => !what.startsWith('black|black')), []);
}

e2e('a connection that breaks is resumed, and who is gone leaves', async (scope) => {
  const server = await Server.start(scope);
  const viewer = await members(scope, chromium, server);
  await join(viewer, 'breaks', 'Ada', { watches: true });
  const pages = {
    Bob: await members(scope, chromium, server),
    Cyd: await members(scope, chromium, server, { alone: true }),
    Dee: await members(scope, firefox, server),
    Eve: await members(scope, chromium, server),
  };
  for (const [name, page] of Object.entries(pages)) await join(page, 'breaks', name, { slots: { video: 1, audio: 1 } });
  await showsAll(viewer, ['Bob', 'Cyd', 'Dee', 'Eve']);

  // The slowest goes first: what becomes of it is looked at in the end.
  kill(pages.Cyd);
  const killed = Date.now();
  await until('the killed one to be reconnecting', async () => (await state(viewer, 'Cyd')) === 'reconnecting', 6);

  await pages.Dee.close();
  await until('the closed tab of Firefox to be gone', async () => !(await state(viewer, 'Dee')), 1.5);
  await pages.Eve.close();
  await until('the closed tab of Chromium to be gone', async () => !(await state(viewer, 'Eve')), 1.5);
  assert.equal(await viewer.evaluate(() => 'Eve/camera' in member.tiles), false, 'its tile too');

  await shortCut(viewer, pages.Bob);
  await longCut(viewer, pages.Bob);
  await deadMedia(viewer, pages.Bob);
  await deadMediaOfViewer(viewer, 'Bob');

  await until('the killed one to be gone', async () => !(await state(viewer, 'Cyd')), GONE_AFTER + 5 - (Date.now() - killed) / 1000);
  const seconds = (Date.now() - killed) / 1000;
  assert.ok(seconds > GONE_AFTER - 3, `it had its time to come back: ${seconds} s`);
}, { seconds: 120 });

e2e('the page of a room comes back to a server that was started again', async (scope) => {
  const first = await Server.start(scope);
  const ada = await Caller.join(scope, chromium, first, 'x', 'Ada');
  const bob = await Caller.join(scope, chromium, first, 'x', 'Bob');
  await ada.shows({ Bob: PEOPLE.Bob.picture });
  await first.stop();
  const banner = await ada.sees('what happens', () => !document.getElementById('trouble').hidden && document.getElementById('trouble-text').textContent);
  assert.match(banner, /restarts|Reconnecting/);
  await Server.start(scope);
  await ada.shows({ Bob: PEOPLE.Bob.picture }, 30);
  await bob.shows({ Ada: PEOPLE.Ada.picture }, 30);
  await ada.sees('no more trouble', () => document.getElementById('trouble').hidden);
  ada.isQuiet();
  bob.isQuiet();
});
