// Messages between participants: reliable and lossy, JSON and bytes, to all and to one.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { join, members } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const ways = [];
for (const reliable of [true, false]) {
  for (const bytes of [false, true]) {
    for (const to of [undefined, 'Cyd']) ways.push({ reliable, bytes, to, topic: `${reliable}/${bytes}/${to ?? 'all'}` });
  }
}

const send = (page, from, way) =>
  page.evaluate(async (own, { reliable, bytes, to, topic }) => {
    const body = bytes ? Uint8Array.of(0, 1, 254, 255) : { text: 'Grüße 👋', list: [1, null, true] };
    await member.rooms[own].send(body, { topic, reliable, to: to && [member.peer(own, to)] });
  }, from, way);

e2e('messages reach all or one, in Chromium and Firefox', async (scope) => {
  const server = await Server.start(scope);
  const pages = { Ada: await members(scope, chromium, server), Bob: await members(scope, firefox, server) };
  pages.Cyd = pages.Ada;
  const silent = { picture: undefined, slots: { video: 0, audio: 0 } };
  for (const [name, page] of Object.entries(pages)) {
    await join(page, 'data', name, silent);
    await page.evaluate((one) => member.takeMessages(one), name);
  }
  for (const [name, page] of Object.entries(pages)) {
    await until('all to be there', () => page.evaluate((one) => member.rooms[one].peers.size === 2, name));
  }
  const got = async () => [...(await pages.Ada.evaluate(() => member.got)), ...(await pages.Bob.evaluate(() => member.got))];
  for (const from of ['Ada', 'Bob']) {
    for (const way of ways) await send(pages[from], from, way);
    const expected = ways.flatMap((way) =>
      (way.to ? [way.to] : ['Ada', 'Bob', 'Cyd'].filter((name) => name !== from)).map((at) => ({
        at, from, topic: way.topic, reliable: way.reliable, body: way.bytes ? 'bytes 0,1,254,255' : { text: 'Grüße 👋', list: [1, null, true] },
      })),
    );
    const sorted = (list) => list.map((one) => JSON.stringify(one)).sort();
    const soFar = async () => sorted((await got()).filter((one) => one.from === from));
    await until(`what ${from} sent`, async () => (await soFar()).length >= expected.length);
    assert.deepEqual(await soFar(), sorted(expected));
  }
});

e2e('messages come in order; too large and too many ones are refused aloud', async (scope) => {
  const server = await Server.start(scope);
  const page = await members(scope, chromium, server);
  for (const name of ['Ada', 'Bob']) await join(page, 'data', name, { picture: undefined, slots: { video: 0, audio: 0 } });
  await page.evaluate(() => member.takeMessages('Bob'));
  const send = (first, end) =>
    page.evaluate(async (from, to) => {
      for (let count = from; count < to; count += 1) await member.rooms.Ada.send(count);
    }, first, end);
  await send(0, 150);
  await until('all messages', () => page.evaluate(() => member.got.length === 150));
  assert.ok(await page.evaluate(() => member.got.every(({ body }, index) => body === index)), 'in order');

  const code = await page.evaluate(() => member.rooms.Ada.send(new Uint8Array(100_000)).catch((error) => error.code));
  assert.equal(code, 'too_large');
  await page.evaluate(() => member.rooms.Ada.addEventListener('error', ({ detail }) => (window.told = detail.code)));
  await send(150, 1500);
  await until('the flood to be refused', () => page.evaluate(() => window.told === 'rate'));
  assert.equal(await page.evaluate(() => member.rooms.Ada.state), 'joined', 'that is all that happens');
});
