// Slots that carry one participant after the other: codecs that change in one slot, and the pages of a large room.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { PEOPLE, join, members, showsAll } from '../harness/rooms.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { sleep, until } from '../harness/wait.mjs';

const ROUND_SECONDS = Number(process.env.E2E_SLOT_SECONDS ?? 24);
const TURN_SECONDS = 2;
const CODECS = { Ada: 'vp8', Bob: 'h264', Cyd: 'av1' };

/// Joins `names` as participants of one page that send and watch nobody.
async function publishers(scope, server, names, options = () => ({})) {
  const page = await members(scope, chromium, server);
  for (const name of names) await join(page, 'slots', name, { slots: { video: 0, audio: 1 }, ...options(name) });
  return page;
}

/// A page that shows nobody yet, with so many slots.
async function watcher(scope, browser, server, video) {
  const page = await members(scope, browser, server);
  await join(page, 'slots', 'viewer', { slots: { video, audio: 1 }, maxSlots: video });
  return page;
}

/// Shows each participant in turn in the one element of the page. Answers with what `cast.watch` saw of it, and with how
/// many turns passed without a picture.
async function goRound(page, names, turns) {
  await until('all to be there', () => page.evaluate((all) => all.every((name) => member.peer('viewer', name)?.track('camera')), names));
  await page.evaluate((people) => {
    window.only = member.tile('only');
    window.end = null;
    window.turn = (name) => {
      window.wanted = people[name].picture;
      member.show(name, member.peer('viewer', name).track('camera'), only);
      return new Promise((resolve) => only.track.addEventListener('frame', resolve, { once: true }));
    };
  }, PEOPLE);
  // Only from the first picture on: before it there is nothing to interrupt.
  await page.evaluate(async (name) => {
    await turn(name);
    end = cast.watch([only], () => wanted);
  }, names[0]);
  let missed = 0;
  for (let count = 1; count <= turns; count += 1) {
    const began = Date.now();
    const came = page.evaluate((name) => turn(name).then(() => cast.look(only) === wanted), names[count % names.length]);
    if (!(await Promise.race([came, sleep(TURN_SECONDS * 1000)]))) missed += 1;
    await sleep(began + TURN_SECONDS * 1000 - Date.now());
  }
  const [seen, { freezes }] = await page.evaluate(async () => [end(), await cast.inbound()]);
  return { ...seen, freezes, missed };
}

e2e('one slot carries VP8, H.264 and AV1 in turn', async (scope) => {
  const server = await Server.start(scope);
  const names = Object.keys(CODECS);
  const sender = await publishers(scope, server, names, (name) => ({ codec: CODECS[name] }));
  const viewers = { Chromium: await watcher(scope, chromium, server, 1), Firefox: await watcher(scope, firefox, server, 1) };
  // How long the publishers themselves stand still is how busy this machine is.
  await sender.evaluate(() => (window.end = cast.watch([], () => null)));
  const turns = Math.round(ROUND_SECONDS / TURN_SECONDS);
  const [inChromium, inFirefox] = await Promise.all([
    goRound(viewers.Chromium, names, turns),
    // Firefox as Debian ships it has no H.264.
    goRound(viewers.Firefox, ['Ada', 'Cyd'], turns),
  ]);
  const { longestStall } = await sender.evaluate(() => end());
  for (const [name, seen] of Object.entries({ Chromium: inChromium, Firefox: inFirefox })) {
    const told = `${name}: ${JSON.stringify({ ...seen, publisher: longestStall })}`;
    assert.deepEqual(seen.wrong, {}, `never a picture of somebody else: ${told}`);
    assert.equal(seen.missed, 0, `a picture in every turn: ${told}`);
    assert.ok(seen.longestGap < 1000 + seen.longestStall + longestStall, `no gap of a second: ${told}`);
    assert.ok(seen.freezes <= turns / 2, `few freezes: ${told}`);
  }
});

e2e('the next page of a large room is one view and no offer', async (scope) => {
  const server = await Server.start(scope);
  const names = Object.keys(PEOPLE).slice(0, 6);
  await publishers(scope, server, names, () => ({ codec: 'vp8', fps: 10 }));
  const viewer = await watcher(scope, chromium, server, 3);
  await until('all to be there', () => viewer.evaluate((all) => all.every((name) => member.peer('viewer', name)?.track('camera')), names));

  /// Fills the three tiles at once, as a page of the grid does.
  const turnTo = (page) =>
    viewer.evaluate((all) => {
      for (const video of Object.values(member.tiles)) {
        video.track.detach(video);
        video.remove();
      }
      member.tiles = {};
      for (const name of all) member.show(name, member.peer('viewer', name).track('camera'), member.tile(`${name}/camera`));
    }, page);
  const pages = [names.slice(0, 3), names.slice(3)];
  await turnTo(pages[0]);
  await showsAll(viewer, pages[0]);
  for (const page of [pages[1], pages[0]]) {
    // Whom nobody watches sends nothing after a while; it has to come back.
    await sleep(6000);
    await viewer.evaluate(() => (cast.sent.length = 0));
    await turnTo(page);
    const end = await viewer.evaluateHandle((people) => {
      const expected = (video) => people[video.track.peer.name].picture;
      return { stop: cast.watch(Object.values(member.tiles), expected) };
    }, PEOPLE);
    await showsAll(viewer, page, 10);
    const { wrong } = await end.evaluate(({ stop }) => stop());
    assert.deepEqual(wrong, {}, 'never a picture of somebody else');
    const sent = await viewer.evaluate(() => cast.sent.map(({ t }) => t).filter((t) => t !== 'ping'));
    assert.deepEqual(sent, ['view']);
  }
});
