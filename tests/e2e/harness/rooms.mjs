// People in rooms: by the room's page, and by the client module in a page of another origin.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { sleep, until } from './wait.mjs';

const script = (name) => readFileSync(new URL(`../page/${name}`, import.meta.url), 'utf8');
const cast = script('cast.js');
const member = script('member.js');

/// Pictures and tones of participants, by name.
export const PEOPLE = {
  Ada: { picture: 'red|blue', hertz: 500 },
  Bob: { picture: 'green|magenta', hertz: 800 },
  Cyd: { picture: 'blue|yellow', hertz: 1100 },
  Dee: { picture: 'green|red', hertz: 1400 },
  Eve: { picture: 'yellow|green', hertz: 1700 },
  Fay: { picture: 'magenta|cyan', hertz: 2000 },
  Gus: { picture: 'white|red', hertz: 2300 },
  Hal: { picture: 'blue|white', hertz: 2600 },
};
export const SCREEN = 'cyan|yellow';

/// Somebody at the room's page.
export class Caller {
  /// With the devices of the participant of that name. `scripts` go into the page after them.
  static async open(scope, browser, server, room, name, ...scripts) {
    const role = JSON.stringify({ ...PEOPLE[name], screen: SCREEN });
    const all = [cast, `cast.devices(${role})`, ...scripts];
    const page = await browser(scope, `${server.url}/room/${room}`, { scripts: all });
    const caller = new Caller();
    Object.assign(caller, { page, name });
    return caller;
  }

  /// Somebody at the page of room `x` with the browser's own devices, or none; `more` is as for the browser.
  static async bare(scope, browser, server, { scripts = [], ...more } = {}) {
    const caller = new Caller();
    caller.page = await browser(scope, `${server.url}/room/x`, { scripts: [cast, ...scripts], ...more });
    return caller;
  }

  /// Opens the page, gives the name, presses Join.
  static async join(scope, browser, server, room, name) {
    const caller = await Caller.open(scope, browser, server, room, name);
    await caller.enter();
    return caller;
  }

  /// From the lobby into the call. Where the browser would ask for the devices, it is let to.
  async enter() {
    await this.sees('the own picture', () => {
      const allow = document.getElementById('allow');
      if (!allow.hidden) allow.click();
      return cast.look(document.getElementById('lobby-video'));
    });
    await this.type('who', this.name);
    await this.click('join');
    await this.inCall();
  }

  inCall() {
    return this.sees('the call', () => document.body.dataset.view === 'room');
  }

  /// Waits until the page answers `question` with something true.
  sees(what, question, ...words) {
    return until(`${this.name ?? 'the page'} to see ${what}`, () => this.page.evaluate(question, ...words), 20);
  }

  click(id) {
    return this.page.evaluate((one) => document.getElementById(one).click(), id);
  }

  /// Into an empty field.
  async type(id, text) {
    await this.page.evaluate((one) => Object.assign(document.getElementById(one), { value: '' }).focus(), id);
    await this.page.keyboard.type(text);
  }

  /// All tiles: the name in each, the picture, and what stands beside it.
  tiles() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll('.tile')].map((tile) => ({
        name: tile.querySelector('.name').textContent,
        picture: tile.classList.contains('lit') ? cast.look(tile.querySelector('video')) : null,
        label: tile.getAttribute('aria-label'),
        avatar: getComputedStyle(tile.querySelector('.face')).visibility !== 'hidden' && !tile.classList.contains('lit'),
        micOff: tile.querySelector('.chip .mic-off') !== null,
      })));
  }

  /// Waits until there are just these tiles with these pictures, the own one apart: { name: picture or null }.
  async shows(pictures, seconds = 20) {
    let last;
    await until(`${this.name} to see ${JSON.stringify(pictures)}`, async () => {
      last = Object.fromEntries((await this.tiles()).filter(({ name }) => name !== 'You').map(({ name, picture }) => [name, picture]));
      return same(last, pictures);
    }, seconds).catch((error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(last)}`);
    });
  }

  async tile(name) {
    return (await this.tiles()).find((tile) => tile.name === name);
  }

  /// Waits until a tone of that participant comes.
  hears(name) {
    return hears(this.page, name);
  }

  inbound() {
    return this.page.evaluate(() => cast.inbound());
  }

  /// Nothing went wrong that the page did not catch.
  isQuiet() {
    assert.deepEqual(this.page.said.filter((line) => line.startsWith('uncaught')), []);
  }
}

export function same(one, other) {
  const sorted = (object) => JSON.stringify(Object.entries(object).sort());
  return sorted(one) === sorted(other);
}

/// Waits until the page receives that participant's tone.
export function hears(page, name) {
  const { hertz } = PEOPLE[name];
  const isThere = async (wanted) => (await cast.hear()).some((tone) => Math.abs(tone - wanted) < 30);
  return until(`the tone of ${name} to be heard`, () => page.evaluate(isThere, hertz), 20);
}

/// A page of another origin than the server's that takes part by the client module, as `member`.
export async function members(scope, browser, server, more) {
  const page = await browser(scope, undefined, { scripts: [cast, member], ...more });
  await page.evaluate((url) => member.load(url), server.url);
  return page;
}

/// The same on a page of the server's own, for browsers that reach nothing else: `browser` opens it.
export async function membersAtServer(browser, server) {
  const page = await browser(`${server.url}/`, { scripts: [cast, member] });
  // Tiles that nobody sees, below what stands there, get no picture.
  await page.evaluate(() => document.body.replaceChildren());
  await page.evaluate((url) => member.load(url), server.url);
  return page;
}

/// Joins one participant; answers with its id.
export function join(page, room, name, options = {}) {
  return page.evaluate((...words) => member.join(...words), room, name, { picture: PEOPLE[name]?.picture, ...options });
}

/// Waits until the tiles of a page of members show just these: { name: picture }.
export async function showsAll(page, names, seconds = 30) {
  const wanted = Object.fromEntries(names.map((name) => [`${name}/camera`, PEOPLE[name].picture]));
  let last;
  await until(`tiles of ${names}`, async () => same((last = await page.evaluate(() => member.look())), wanted), seconds).catch((error) => {
    throw new Error(`${error.message}; they are ${JSON.stringify(last)}, not ${JSON.stringify(wanted)}`);
  });
}

/// Watches for some seconds: what came to each page, by name. The server must have got all that was sent.
export async function measure(server, pages, seconds) {
  const inbound = async ([name, page]) => [name, await page.evaluate(() => cast.inbound())];
  const take = async () => Object.fromEntries(await Promise.all(Object.entries(pages).map(inbound)));
  const missed = await server.metric('sluice_nacks_sent_total');
  const before = await take();
  await sleep(seconds * 1000);
  const after = await take();
  assert.equal(await server.metric('sluice_nacks_sent_total'), missed, 'the server misses no packet');
  return Object.fromEntries(
    Object.entries(after).map(([name, now]) => {
      const grown = Object.entries(now).filter(([key]) => key !== 'slots').map(([key, value]) => [key, value - before[name][key]]);
      const moving = Object.entries(now.slots).filter(([id, frames]) => frames > (before[name].slots[id] ?? 0)).length;
      return [name, { ...Object.fromEntries(grown), moving }];
    }),
  );
}

/// What must hold for everybody in a room of `count` who all publish a camera.
export function assertFlows(measured, count) {
  for (const [name, figures] of Object.entries(measured)) {
    const told = `${name}: ${JSON.stringify(figures)}`;
    assert.equal(figures.moving, count - 1, `every picture moves: ${told}`);
    assert.ok(figures.decoded / figures.received >= 0.95, `decoding keeps pace with receiving: ${told}`);
    assert.equal(figures.lost, 0, `no packet is lost: ${told}`);
  }
}
