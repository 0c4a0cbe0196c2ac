// Rooms of Chromium and Firefox together, through the client module: two, then four, then eight participants. Everybody
// sends a picture and shows everybody else's.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { PEOPLE, assertFlows, hears, join, measure, members, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const SECONDS = 4;
const FPS = 10;
const BROWSERS = { Ada: chromium, Bob: firefox, Cyd: chromium, Dee: firefox, Eve: chromium, Fay: chromium, Gus: chromium, Hal: chromium };
/// Who speaks. The others have no microphone, so that there is no doubt who is heard.
const SPEAKER = 'Ada';

/// They come one after the other, and everybody gets to see all.
async function come(scope, server, pages, names) {
  for (const name of names) {
    pages[name] = await members(scope, BROWSERS[name], server);
    const hertz = name === SPEAKER ? PEOPLE[name].hertz : undefined;
    await join(pages[name], 'mixed', name, { hertz, fps: FPS, watches: true });
  }
  const all = Object.keys(pages);
  const shows = (name) => showsAll(pages[name], all.filter((other) => other !== name));
  await Promise.all(all.filter((name) => BROWSERS[name] === chromium).map(shows));
  // Firefox has one window for all its pages, and presents less and less of those in the background.
  for (const name of all.filter((one) => BROWSERS[one] === firefox)) {
    await pages[name].bringToFront();
    await shows(name);
  }
}

/// Where Firefox has no sound card it runs no AudioContext; its receiver tells the energy of what it decoded instead.
async function hearSpeaker(pages) {
  for (const [name, page] of Object.entries(pages)) {
    if (name === SPEAKER) continue;
    if (BROWSERS[name] === chromium) {
      await hears(page, SPEAKER);
    } else {
      const { energy } = await page.evaluate(() => cast.inbound());
      await until(`${name} to hear sound`, async () => (await page.evaluate(() => cast.inbound())).energy > energy + 0.001);
    }
  }
}

async function assertRoom(server, pages) {
  await hearSpeaker(pages);
  const measured = await measure(server, pages, SECONDS);
  assertFlows(measured, Object.keys(pages).length);
}

e2e('two, four and eight participants in Chromium and Firefox see and hear each other', async (scope) => {
  const server = await Server.start(scope);
  const pages = {};
  await come(scope, server, pages, ['Ada', 'Bob']);
  await assertRoom(server, pages);
  await come(scope, server, pages, ['Cyd', 'Dee']);
  await assertRoom(server, pages);
  await come(scope, server, pages, ['Eve', 'Fay', 'Gus', 'Hal']);
  await assertRoom(server, pages);
  for (const page of Object.values(pages)) {
    assert.deepEqual(page.said.filter((line) => line.startsWith('uncaught')), []);
  }
}, { seconds: 150 });
