// The lobby where devices fail: it says what is wrong in words, and one can still join to listen.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { Caller, PEOPLE, hears, join, members } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

const before = (script) => (scope, server) => Caller.bare(scope, chromium, server, { scripts: [script] });

/// Ways in which devices fail: how the page is opened, what the lobby tells, and what stands on the button.
const FAILURES = [
  {
    what: 'camera and microphone are denied',
    open: (scope, server) => Caller.bare(scope, chromium, server, { denied: server.url }),
    told: /Camera and microphone are blocked.*beside the address bar/,
    button: 'Join to listen',
  },
  {
    what: 'there is no device',
    open: before('navigator.mediaDevices.enumerateDevices = async () => [];'),
    told: /No camera or microphone found.*listen and chat/,
    button: 'Join to listen',
  },
  {
    what: 'the devices never answer',
    open: before('navigator.mediaDevices.getUserMedia = () => new Promise(() => {});'),
    told: /does not start\. Unplug it/,
    button: 'Join',
  },
  {
    what: 'the page is neither https nor localhost',
    open: (scope, server) => Caller.bare(scope, firefox, server),
    told: /blocks the camera on http pages.*https:/,
    button: 'Join to listen',
    // It is the one in Firefox, which runs no AudioContext where there is no sound card.
    listen: async (caller) => {
      const { energy } = await caller.inbound();
      await until('sound', async () => (await caller.inbound()).energy > energy + 0.001);
    },
  },
];

/// Waits until the lobby says so, and lets the page ask for the devices once where it wants to.
function says(caller, told) {
  const read = () => {
    const allow = document.getElementById('allow');
    if (!allow.hidden && allow.textContent.startsWith('Allow') && !window.asked) {
      window.asked = true;
      allow.click();
    }
    return ['blank-title', 'blank-text'].map((id) => document.getElementById(id).textContent).join(': ');
  };
  // A device that gives nothing is given up after ten seconds.
  return until(`the lobby to say ${told}`, async () => {
    const text = await caller.page.evaluate(read);
    return told.test(text) || Promise.reject(new Error(text));
  }, 25);
}

e2e('the lobby says why there is no camera, and lets one join to listen', async (scope) => {
  const server = await Server.start(scope);
  const others = await members(scope, chromium, server);
  const { picture, hertz } = PEOPLE.Ada;
  await join(others, 'x', 'Ada', { hertz });

  for (const { what, open, told, button, listen } of FAILURES) {
    const caller = await open(scope, server);
    await says(caller, told);
    assert.equal(await caller.page.evaluate(() => document.getElementById('join').textContent), button, what);
    await caller.type('who', 'Bob');
    await caller.click('join');
    await caller.inCall();
    await caller.shows({ Ada: picture });
    await (listen ? listen(caller) : hears(caller.page, 'Ada'));
    const published = await others.evaluate(() => member.peer('Ada', 'Bob').tracks.size);
    assert.equal(published, 0, 'who only listens publishes nothing');
    await caller.page.close();
    caller.isQuiet();
    await until('Bob to be gone', () => others.evaluate(() => member.rooms.Ada.peers.size === 0), 3);
  }
}, { seconds: 120 });

e2e('a slow camera follows into the call', async (scope) => {
  const server = await Server.start(scope);
  const viewer = await members(scope, chromium, server);
  await join(viewer, 'x', 'Ada', { watches: true });
  const bob = await Caller.open(scope, chromium, server, 'x', 'Bob', `{
    const open = navigator.mediaDevices.getUserMedia;
    navigator.mediaDevices.getUserMedia = (wish) => new Promise((resolve) => (window.give = () => resolve(open(wish))));
  }`);
  await bob.sees('that devices are asked for', () => {
    const allow = document.getElementById('allow');
    if (!allow.hidden && !window.give) allow.click();
    return window.give;
  });
  await bob.type('who', 'Bob');
  await bob.click('join');
  await bob.inCall();
  await until('Bob without a picture', () => viewer.evaluate(() => member.peer('Ada', 'Bob')?.tracks.size === 0));
  await until('the picture of Bob', async () => {
    await bob.page.evaluate(() => give());
    return viewer.evaluate((picture) => cast.look(member.tiles['Bob/camera']) === picture, PEOPLE.Bob.picture);
  });
  bob.isQuiet();
});
