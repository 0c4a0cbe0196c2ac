// Somebody who watches in a browser, and what a good watch is.

import assert from 'node:assert/strict';

import { until } from './wait.mjs';

export class Viewer {
  constructor(page) {
    this.page = page;
  }

  /// A page that plays a stream by the WHEP client of the server's pages, through the server's relay alone.
  static async relayed(scope, open, server, stream, more) {
    const page = await open(scope, undefined, more);
    await page.evaluate(async (url, name) => {
      const { WhepClient } = await import(`${url}/assets/whep.js`);
      const player = new WhepClient(`${url}/whep/${name}`, { iceTransportPolicy: 'relay' });
      player.addEventListener('stream', () => {
        probe.video().srcObject = player.stream;
        probe.video().play().catch(() => {});
      });
      player.start();
    }, server.url, stream);
    return new Viewer(page);
  }

  /// Plays a WHEP address in a blank page of another origin; the answer must be 201.
  static async bare(scope, open, url) {
    const page = await open(scope);
    const reply = await page.evaluate((address) => probe.watch(address), url);
    assert.equal(reply.status, 201, `POST ${url}: ${JSON.stringify(reply)}`);
    assert.ok(reply.location, 'the Location header is there and readable from another origin');
    const viewer = new Viewer(page);
    viewer.answer = reply.answer;
    viewer.links = reply.links;
    return viewer;
  }

  /// Opens the server's own page and leaves it to play by itself.
  static async page(scope, open, url) {
    return new Viewer(await open(scope, url));
  }

  stats() {
    return this.page.evaluate(() => probe.connections.length > 0 && probe.stats());
  }

  look() {
    return this.page.evaluate(() => probe.video() && probe.look());
  }

  listen() {
    return this.page.evaluate(() => probe.listen());
  }

  /// Waits until `frames` have been decoded.
  plays(frames = 25, seconds = 20) {
    return until(`${frames} decoded frames`, async () => {
      const now = await this.stats();
      return now.decoded >= frames ? now : (now && now.decoded >= frames);
    }, seconds);
  }

  /// Waits until the picture has these two halves.
  async shows(left, right, seconds = 15) {
    let last;
    await until(`the picture ${left} | ${right}`, async () => {
      last = await this.look();
      return last?.left === left && last?.right === right ? last : null;
    }, seconds).catch((error) => {
      throw new Error(`${error.message}; the picture is ${JSON.stringify(last)}`);
    });
    return last;
  }

  /// Watches for `seconds`: what the counters grew by, and the numbers of every `stride`th frame that was shown
  /// (reading one back costs Firefox without a GPU more than decoding it).
  async watch(seconds, stride = 1) {
    const before = await this.stats();
    const numbers = await this.page.evaluate((...words) => probe.frames(...words), seconds, stride);
    const after = await this.stats();
    const grown = Object.fromEntries(
      Object.keys(after)
        .filter((key) => typeof after[key] === 'number')
        .map((key) => [key, after[key] - before[key]]),
    );
    return { ...grown, state: after.state, numbers };
  }
}

/// What every running stream must hold, in ratios, so that a slow machine passes and a lossy server does not.
export function assertGood(watched, { seconds, counted = true } = {}) {
  const { numbers, ...figures } = watched;
  const told = JSON.stringify(figures);
  assert.equal(watched.state, 'connected');
  assert.ok(watched.received > 0, `frames came: ${told}`);
  assert.ok(watched.decoded / watched.received >= 0.95, `decoding keeps pace with receiving: ${told}`);
  assert.equal(watched.lost, 0, `no packet was lost: ${told}`);
  assert.ok(watched.freezeSeconds <= 0.1 * seconds, `frozen for at most a tenth of the time: ${told}`);
  assert.equal(watched.connections, 0, 'the same connection plays on');
  if (!counted) {
    return;
  }
  const disorder = numbers.findIndex((number, index) => index > 0 && number < numbers[index - 1]);
  assert.equal(disorder, -1, `frames are shown in order: ${numbers.slice(Math.max(0, disorder - 3), disorder + 3)}`);
  const sent = numbers.at(-1) - numbers[0];
  assert.ok(sent > 0, `the picture moves: ${told}`);
  assert.ok(watched.received / sent >= 0.9, `${watched.received} frames came of ${sent} sent`);
}
