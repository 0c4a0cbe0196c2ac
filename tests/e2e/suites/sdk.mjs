// The client module as somebody else's page uses it: the example of docs/sdk.md, slots that change hands, a WebSocket
// that breaks, a server that is started again. All from another origin than the server's.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { chromium, firefox } from '../harness/browsers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const lab = readFileSync(new URL('../page/sdk.js', import.meta.url), 'utf8');
const COLOURS = { red: '#f00', green: '#0f0', blue: '#00f' };

/// A page that has the module as `sdk`, with a room of the server that is not joined yet as `room`.
async function page(scope, browser, server, options = {}) {
  const one = await browser(scope);
  await one.evaluate(lab);
  await one.evaluate(
    async (url, more) => {
      window.sdk = await import(`${url}/assets/sluice.js`);
      window.make = (options) => new sdk.Room({ url: `${url}/ws`, ...more, ...options });
      window.room = make({});
      window.track = (name, source = 'camera') => [...room.peers.values()].find((peer) => peer.name === name)?.track(source);
    },
    server.url,
    options,
  );
  return one;
}

/// One page with a participant for each colour, that shows that colour.
async function colours(scope, server) {
  const one = await page(scope, chromium, server);
  await one.evaluate(async (all) => {
    window.rooms = {};
    for (const [name, colour] of Object.entries(all)) {
      rooms[name] = make({ name, slots: { video: 0, audio: 1 } });
      await rooms[name].join('lab');
      await rooms[name].publish(new sdk.LocalTrack(lab.camera(colour), 'camera'));
    }
  }, COLOURS);
  return one;
}

const live = (viewer, name) =>
  until(`${name} to be live`, () => viewer.evaluate((one) => track(one)?.state === 'live' && lab.colour(videos[one]) === one, name));

/// Shows each colour in a tile of its own.
const attach = (viewer, names) =>
  viewer.evaluate((all) => {
    window.videos ??= {};
    for (const name of all) {
      videos[name] ??= lab.tile();
      track(name).attach(videos[name]);
    }
  }, names);

const everybodyIsHere = (viewer) =>
  until('everybody to be here', () => viewer.evaluate((names) => names.every((name) => track(name)), Object.keys(COLOURS)));

for (const [name, browser] of [['Chromium', chromium], ['Firefox', firefox]]) {
  e2e(`the example of docs/sdk.md works in ${name}`, async (scope) => {
    const server = await Server.start(scope);
    const text = readFileSync(new URL('../../../docs/sdk.md', import.meta.url), 'utf8');
    const example = /```html\n([\s\S]*?)```/.exec(text)[1];
    const elsewhere = example
      .replace("'/assets/sluice.js'", `'${server.url}/assets/sluice.js'`)
      .replace("{ name: 'Ada' }", `{ name: 'Ada', url: '${server.url}/ws' }`);
    const pages = [await browser(scope), await browser(scope)];
    for (const one of pages) await one.evaluate((html) => (document.open(), document.write(html), document.close()), elsewhere);
    for (const one of pages) {
      await until('the other one to be seen', () =>
        one.evaluate(() => {
          const video = document.querySelector('main video');
          return document.querySelector('p').textContent === 'joined' && video.videoWidth > 0 && !video.paused && getComputedStyle(video).visibility === 'visible';
        }),
      );
    }
  });

  e2e(`one slot that changes hands never shows the wrong picture in ${name}`, async (scope) => {
    const server = await Server.start(scope);
    await colours(scope, server);
    const viewer = await page(scope, browser, server, { slots: { video: 1, audio: 1 }, maxSlots: 1 });
    await viewer.evaluate(() => room.join('lab'));
    await everybodyIsHere(viewer);
    await viewer.evaluate(() => {
      window.videos = { red: lab.tile(), green: lab.tile(), blue: lab.tile() };
      window.stop = lab.watch(videos);
    });
    const names = Object.keys(COLOURS);
    for (let turn = 0; turn < 12; turn += 1) {
      const [before, now] = [names[(turn + 2) % 3], names[turn % 3]];
      await viewer.evaluate((one, other) => {
        track(one).detach(videos[one]);
        track(other).attach(videos[other]);
      }, before, now);
      // Every third one is taken away again before it can have been shown.
      if (turn % 3 !== 2) await live(viewer, now);
    }
    const seen = await viewer.evaluate(() => stop());
    for (const one of names) assert.deepEqual(Object.keys(seen[one]).filter((colour) => colour !== one), [], JSON.stringify(seen));
    assert.ok(seen.red.red > 0 && seen.green.green > 0, JSON.stringify(seen));
  });
}

e2e('slots are added when more is on screen, and a WebSocket that breaks interrupts no picture', async (scope) => {
  const server = await Server.start(scope);
  await colours(scope, server);
  const viewer = await page(scope, chromium, server, { slots: { video: 1, audio: 1 }, maxSlots: 3 });
  await viewer.evaluate(() => room.join('lab'));
  await everybodyIsHere(viewer);
  await attach(viewer, Object.keys(COLOURS));
  for (const name of Object.keys(COLOURS)) await live(viewer, name);

  const before = await viewer.evaluate(() => {
    window.states = [];
    room.addEventListener('state', () => states.push(room.state));
    window.frames = 0;
    const count = () => {
      frames += 1;
      videos.red.requestVideoFrameCallback(count);
    };
    videos.red.requestVideoFrameCallback(count);
    // No goodbye, as when the network goes away.
    lab.sockets.at(-1).close(4001);
    return room.me.id;
  });
  await until('the room to be resumed', () => viewer.evaluate(() => lab.sockets.length === 2 && lab.sockets[1].readyState === 1 && frames > 15));
  const after = await viewer.evaluate(() => ({ id: room.me.id, states, peers: room.peers.size, stats: probe.connections.length }));
  assert.deepEqual(after, { id: before, states: [], peers: 3, stats: 1 });
});

e2e('everybody comes back to a server that was started again', async (scope) => {
  const first = await Server.start(scope);
  await colours(scope, first);
  const viewer = await page(scope, chromium, first);
  await viewer.evaluate(() => room.join('lab'));
  await everybodyIsHere(viewer);
  await attach(viewer, ['red']);
  await live(viewer, 'red');
  await first.stop();
  await until('the break to be shown', () => viewer.evaluate(() => room.state === 'reconnecting'));
  await Server.start(scope);
  await until('the room to be joined anew', () => viewer.evaluate(() => room.state === 'joined'), 30);
  await everybodyIsHere(viewer);
  await attach(viewer, ['red', 'blue']);
  for (const name of ['red', 'blue']) await live(viewer, name);
});
