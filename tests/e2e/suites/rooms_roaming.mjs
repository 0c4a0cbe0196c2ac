// Participants whose way to the server breaks in the middle of a call.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { changeAddress, withoutIPv6 } from '../harness/namespaces.mjs';
import { blockOpenPorts } from '../harness/network.mjs';
import { PEOPLE, join, members, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

/// Two participants who see each other, in a browser that has nothing but IPv4.
async function call(scope, browser) {
  withoutIPv6(scope);
  const server = await Server.start(scope);
  const pages = { Ada: await members(scope, browser, server), Bob: await members(scope, browser, server) };
  for (const [name, page] of Object.entries(pages)) await join(page, 'roaming', name, { watches: true });
  await showsAll(pages.Ada, ['Bob']);
  await showsAll(pages.Bob, ['Ada']);
  for (const page of Object.values(pages)) await until('a call that goes on', async () => (await frames(page)) > 40, 20);
  return pages;
}

/// How many frames of the other one have come to a participant's page in its life.
function frames(page) {
  return page.evaluate(async () => (await cast.inbound()).decoded);
}

/// Breaks something, and answers with how many seconds it took until both see each other again.
async function secondsWithout(pages, breaking) {
  const begun = Date.now();
  breaking();
  // What was on its way still comes.
  await until('the picture to stand still', () => isMoving(pages, false), 10);
  await until('both to see each other again', () => isMoving(pages, true), 40);
  const seconds = (Date.now() - begun) / 1000;
  console.log(`# both see each other again after ${seconds} s`);
  return seconds;
}

async function isMoving(pages, wanted) {
  const before = await Promise.all(Object.values(pages).map(frames));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const after = await Promise.all(Object.values(pages).map(frames));
  return after.every((count, index) => count > before[index] === wanted);
}

/// That media goes nowhere while the server can be reached is for the browser to notice.
const NOTICED_AND_MENDED = 12;
/// The rest is for Chromium to see its new address, and for two cores that are busy.
const MOVED = 6;

e2e('another path is found when the one that media takes is blocked', async (scope) => {
  const pages = await call(scope, chromium);
  const seconds = await secondsWithout(pages, () => blockOpenPorts(scope));
  assert.ok(seconds < NOTICED_AND_MENDED, `it took ${seconds} s`);
  for (const page of Object.values(pages)) {
    assert.equal(await page.evaluate(() => probe.connections.length), 1, 'the peer connection is the same');
    assert.equal(await page.evaluate(() => cast.sockets.length), 1, 'and the WebSocket');
  }
}, { seconds: 90 });

for (const browser of [chromium, firefox]) {
  e2e(`a call goes on from another address in ${browser.name}`, async (scope) => {
    const pages = await call(scope, browser);
    const seconds = await secondsWithout(pages, () => changeAddress(scope));
    assert.ok(seconds < MOVED, `it took ${seconds} s`);
  }, { seconds: 90 });
}
