// The lobby where devices fail: it says what is wrong in words, and one can still join to listen.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { Caller, PEOPLE, hears, join, members } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

/// Ways in which a device fails. `before` goes into the page before its own scripts; `told` is what the lobby says.
const FAILURES = [
  {
    what: 'camera and microphone are denied',
    open: (scope, server) => Caller.bare(scope, chromium, server, { denied: server.url }),
    told: /Camera and microphone are blocked/,
    button: 'Join to listen',
  },
  {
    what: 'there is no device',
    open: (scope, server) => Caller.bare(scope, chromium, server, { scripts: ['navigator.mediaDevices.enumerateDevices = async () => [];'] }),
    told: /No camera or microphone found.*listen and chat/,
    button: 'Join to listen',
  },
  {
    what: 'the camera never answers',
    open: (scope, server) => Caller.bare(scope, chromium, server, { scripts: ['navigator.mediaDevices.getUserMedia = () => new Promise(() => {});'] }),
    told: /does not start\. Unplug it/,
    button: /^Join/,
  },
  {
    what: 'the page is neither https nor localhost, in Firefox',
    open: (scope, server) => Caller.bare(scope, firefox, server),
    told: /blocks the camera on http pages.*https:/,
    button: 'Join to listen',
  },
];

e2e('the lobby says why there is no camera, and lets one join to listen', async (scope) => {
  const server = await Server.start(scope);
  const others = await members(scope, chromium, server);
  const { picture, hertz } = PEOPLE.Ada;
  await join(others, 'x', 'Ada', { picture, hertz });

  for (const { what, open, told, button } of FAILURES) {
    const caller = await open(scope, server);
    // The page may not show the question for ever: a device that gives nothing is given up after ten seconds.
    const text = await until(`${what}: the lobby to say so`, async () => {
      const now = await caller.page.evaluate(() => {
        const allow = document.getElementById('allow');
        if (!allow.hidden && allow.textContent.startsWith('Allow') && !window.allowed) (window.allowed = true), allow.click();
        return ['blank-title', 'blank-text'].map((id) => document.getElementById(id).textContent).join(' / ');
      });
      return told.test(now) ? now : Promise.reject(new Error(now));
    }, 25);
    assert.ok(text);
    const label = await caller.page.evaluate(() => document.getElementById('join').textContent);
    assert.match(label, typeof button === 'string' ? new RegExp(`^${button}$`) : button, what);
    await caller.type('who', 'Bob');
    await caller.click('join');
    await caller.inCall();
    await caller.shows({ Ada: picture });
    if (what.includes('Firefox')) {
      const { energy } = await caller.inbound();
      await until('sound', async () => (await caller.inbound()).energy > energy + 0.001);
    } else {
      await hears(caller.page, 'Ada');
    }
    assert.equal(await others.evaluate(() => member.peer('Ada', 'Bob')?.tracks.size), 0, 'who only listens publishes nothing');
    await caller.page.close();
    caller.isQuiet();
    await until('Bob to be gone', () => others.evaluate(() => member.rooms.Ada.peers.size === 0), 3);
  }
}, { seconds: 120 });
