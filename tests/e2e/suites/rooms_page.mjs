// The room's page as two people use it: lobby, call, mute, screen, chat, leave, come back.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { Caller, PEOPLE, SCREEN } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { sleep, until } from '../harness/wait.mjs';

/// What the others notice at once must be there by then, in seconds.
const AT_ONCE = 1.5;

/// Nothing of that kind comes any more, from a moment after now on.
async function ceases(caller, kind) {
  let before = (await caller.inbound())[kind];
  await until(`${kind} to cease`, async () => {
    await sleep(1500);
    const now = (await caller.inbound())[kind];
    const still = now === before;
    before = now;
    return still;
  }, 6);
}

const comes = async (caller, kind) => {
  const before = (await caller.inbound())[kind];
  await until(`${kind} to come`, async () => (await caller.inbound())[kind] > before + 5);
};

async function muteAndUnmute(ada, bob) {
  await bob.click('mic');
  await until('the badge of a muted microphone', async () => (await ada.tile('Bob')).micOff, AT_ONCE);
  assert.match((await ada.tile('Bob')).label, /microphone off/);
  await ceases(ada, 'audio');
  await bob.click('mic');
  await until('the badge to go', async () => !(await ada.tile('Bob')).micOff, AT_ONCE);
  await comes(ada, 'audio');
  await ada.hears('Bob');

  await bob.click('camera');
  await until('the avatar instead of the picture', async () => (await ada.tile('Bob')).avatar, AT_ONCE);
  await ceases(ada, 'video');
  await bob.click('camera');
  await ada.shows({ Bob: PEOPLE.Bob.picture });
}

async function shareScreen(ada, bob) {
  await bob.click('share');
  await ada.shows({ Bob: PEOPLE.Bob.picture, 'Bob: screen': SCREEN });
  await bob.click('share');
  await ada.shows({ Bob: PEOPLE.Bob.picture }, AT_ONCE);
}

async function chat(from, to, text) {
  await from.page.evaluate(() => document.getElementById('panel').hidden && document.getElementById('chat-open').click());
  await from.type('words', text);
  await from.page.keyboard.press('Enter');
  for (const one of [from, to]) {
    await one.sees(`"${text}"`, (wanted) => [...document.querySelectorAll('#messages .text')].some((line) => line.textContent === wanted), text);
  }
}

e2e('two people meet on the page of a room', async (scope) => {
  const server = await Server.start(scope);
  const ada = await Caller.open(scope, chromium, server, 'x', 'Ada');
  await ada.sees('the own picture before the call', (wanted) => cast.look(document.getElementById('lobby-video')) === wanted, PEOPLE.Ada.picture);
  await ada.enter();
  await ada.sees('that nobody else is there', () => !document.getElementById('first').hidden);
  const bob = await Caller.join(scope, chromium, server, 'x', 'Bob');

  await ada.shows({ Bob: PEOPLE.Bob.picture });
  await bob.shows({ Ada: PEOPLE.Ada.picture });
  assert.equal((await ada.tile('You')).picture, PEOPLE.Ada.picture);
  await ada.hears('Bob');
  await bob.hears('Ada');

  await muteAndUnmute(ada, bob);
  await shareScreen(ada, bob);
  await chat(ada, bob, 'Can you hear me?');
  assert.ok(await bob.page.evaluate(() => !document.getElementById('unread').hidden), 'a message that was not read is marked');
  await chat(bob, ada, '<b>Yes</b> & well');

  await bob.click('leave');
  await ada.shows({}, AT_ONCE);
  await bob.sees('the way back', () => document.body.dataset.view === 'gone');
  await bob.click('again');
  await bob.enter();
  await ada.shows({ Bob: PEOPLE.Bob.picture });
  await bob.shows({ Ada: PEOPLE.Ada.picture });
  await ada.hears('Bob');
  ada.isQuiet();
  bob.isQuiet();
});
