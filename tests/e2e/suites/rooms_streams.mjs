// WHIP streams in rooms, and rooms for WHEP viewers: a participant, and whoever speaks.

import assert from 'node:assert/strict';

import { chromium } from '../harness/browsers.mjs';
import { publishAiortc } from '../harness/peers.mjs';
import { Caller, PEOPLE, join, members } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

const SECONDS = 3;

/// Waits until a WHEP viewer sees the picture of that participant.
const sees = (viewer, name) => viewer.shows(...PEOPLE[name].picture.split('|'), 20);

/// Who speaks from now on.
const speak = (page, name) =>
  page.evaluate(async (one, others, hertz) => {
    for (const other of others) await member.rooms[other].tracks.get('mic').mute();
    const mic = member.rooms[one].tracks.get('mic');
    await mic.replace(cast.microphone(hertz));
    await mic.unmute();
  }, name, ['Ada', 'Dee'].filter((other) => other !== name), PEOPLE[name].hertz);

e2e('a WHIP stream is a tile of its room, and WHEP viewers see a participant or who speaks', async (scope) => {
  const server = await Server.start(scope);
  const page = await members(scope, chromium, server);
  const ids = {};
  for (const name of ['Ada', 'Dee']) ids[name] = await join(page, 'studio', name, { hertz: 0, slots: { video: 1, audio: 3 } });

  // A stream that comes into a room with people, and goes.
  const bob = await Caller.join(scope, chromium, server, 'studio', 'Bob');
  await bob.click('mic');
  const people = { Ada: PEOPLE.Ada.picture, Dee: PEOPLE.Dee.picture };
  await bob.shows(people);
  const publisher = await publishAiortc(scope, server.whip('studio'), { left: 'blue', right: 'red', fps: 15 });
  await bob.shows({ ...people, Stream: 'blue|red' });
  const stream = await page.evaluate(() => [...member.rooms.Ada.peers.values()].find(({ kind }) => kind === 'stream').id);

  const one = await Viewer.bare(scope, chromium, `${server.whep('studio')}?participant=${ids.Dee}`);
  await sees(one, 'Dee');
  const other = await Viewer.bare(scope, chromium, `${server.whep('studio')}?participant=${stream}`);
  await other.shows('blue', 'red');
  await publisher.stop();
  await bob.shows(people, 5);

  const speaker = await Viewer.bare(scope, chromium, `${server.whep('studio')}?participant=active-speaker`);
  for (const name of ['Ada', 'Dee', 'Ada']) {
    await speak(page, name);
    await sees(speaker, name);
    const { hertz } = PEOPLE[name];
    await until(`the voice of ${name}`, async () => Math.abs((await speaker.listen()).hertz - hertz) < 30);
  }
  const watched = await Promise.all([one, speaker].map((viewer) => viewer.watch(SECONDS)));
  for (const { lost, decoded, received } of watched) {
    assert.equal(lost, 0);
    assert.ok(received > 0 && decoded / received >= 0.95, `${decoded} of ${received}`);
  }
  bob.isQuiet();
});
