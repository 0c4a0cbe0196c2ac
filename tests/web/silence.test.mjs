// Whether what flowed steadily has stopped.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LOOK_EVERY_MS, Silence } from '../../web-demo/sluice-silence.js';

/** What is told, by time, of something whose newest time is `newest(now)`. */
function told(newest, end = 20_000) {
  const silence = new Silence();
  const news = [];
  for (let now = 0; now < end; now += LOOK_EVERY_MS) {
    const isSilent = silence.look(newest(now), now);
    if (isSilent !== null) news.push([isSilent, now]);
  }
  return news;
}

test('a flow that stops is told within a second, once, and so is that it goes on', () => {
  const news = told((now) => (now < 10_000 ? now : now < 15_000 ? 9_990 : now));
  assert.deepEqual(news.map(([isSilent]) => isSilent), [true, false]);
  assert.ok(news[0][1] - 10_000 < 800 && news[1][1] - 15_000 <= LOOK_EVERY_MS, `${news}`);
});

test('nothing, a slow picture, and a short flow are no steady flow', () => {
  assert.deepEqual(told(() => null), []);
  assert.deepEqual(told((now) => now - (now % 1_000)), []);
  assert.deepEqual(told((now) => Math.min(now, 900)), []);
  assert.deepEqual(told((now) => now - (now % 400)), [], 'a picture in small steps flows all the time');
});
