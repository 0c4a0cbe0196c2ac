// Who comes to a stream whose encoder makes key frames every four seconds and none when it is asked has a picture at once, and
// soon the one of now.

import assert from 'node:assert/strict';

import { chromium, firefox } from '../harness/browsers.mjs';
import { publishAiortc, publishFfmpeg } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { Viewer, assertGood } from '../harness/viewer.mjs';
import { until } from '../harness/wait.mjs';

/// What of `values` this part of them is at most.
const percentile = (values, part) => values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1];

/// Comes and goes so many times while somebody else watches. How long the first picture took each time, and until a picture
/// was shown that is less than half a second behind, ms.
async function come(page, other, url, times) {
  const [first, current] = [[], []];
  for (let time = 0; time < times; time += 1) {
    const began = performance.now();
    const shown = await page.evaluate((address) => probe.firstPicture(address), url);
    assert.ok(shown.took, JSON.stringify(shown));
    first.push(Math.round(shown.took));
    await until('the picture of now', async () => {
      const [mine, theirs] = await Promise.all([page.evaluate(() => probe.look()?.number), other.look()]);
      return theirs.number - mine < 12;
    }, 8);
    current.push(Math.round(performance.now() - began));
    if (time + 1 < times) {
      await page.evaluate(() => probe.leave());
    }
  }
  console.log(`  first picture: ${first.join(' ')} ms`);
  console.log(`  picture of now: ${current.join(' ')} ms`);
  return { first, current };
}

e2e('50 viewers in Chromium come to H.264 with key frames every 4 s: each has a picture at once', async (scope) => {
  const server = await Server.start(scope);
  await publishFfmpeg(scope, server.whip('rare'), { gop: 4, bitrate: 1_500_000, snow: 80 });
  const other = await Viewer.bare(scope, chromium, server.whep('rare'));
  await other.plays();
  const page = await chromium(scope);
  const { first, current } = await come(page, other, server.whep('rare'), 50);
  assert.ok(percentile(first, 0.95) < 500, `the first picture takes ${percentile(first, 0.95)} ms`);
  assert.ok(percentile(current, 0.5) < 2_000, `the picture of now takes ${percentile(current, 0.5)} ms`);
  const viewer = new Viewer(page);
  await viewer.shows('red', 'blue');
  const { numbers, ...figures } = await viewer.watch(6);
  assert.ok(figures.lost === 0 && figures.freezeSeconds < 0.6, JSON.stringify(figures));
  assert.ok(numbers.every((number, index) => index === 0 || number >= numbers[index - 1]), 'in order');
}, { seconds: 240 });

e2e('viewers in Firefox come to VP8 with key frames every 4 s: each has a picture at once', async (scope) => {
  const server = await Server.start(scope);
  await publishAiortc(scope, server.whip('rare'), { gop: 4 });
  const other = await Viewer.bare(scope, firefox, server.whep('rare'));
  await other.plays();
  const page = await firefox(scope);
  const { first } = await come(page, other, server.whep('rare'), 10);
  // Two browsers and an encoder in software share two cores; without what is kept, the mean is 2 s and more.
  assert.ok(percentile(first, 0.5) < 1_000, `the first picture takes ${percentile(first, 0.5)} ms`);
  const viewer = new Viewer(page);
  await viewer.shows('red', 'blue');
  assertGood(await viewer.watch(6, 5), { seconds: 6 });
}, { seconds: 180 });
