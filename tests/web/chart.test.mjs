// The picture of a connection's last minutes: its scale, its gaps, its words.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { agoText, levelOf, roundTop, runs } from '../../web-demo/chart.js';
import { verdict } from '../../web-demo/room-connection.js';

test('the scale ends at a round number that is large enough', () => {
  for (const [value, top] of [[0, 100_000], [99_000, 100_000], [130_000, 150_000], [2_000_000, 2_000_000], [2_000_001, 3_000_000], [8_100_000, 10_000_000]]) {
    assert.equal(roundTop(value), top, String(value));
  }
});

test('a line breaks where nothing is known', () => {
  const points = [[30_000, 1], [28_000, 2], [26_000, null], [24_000, 3], [22_000, 4], [10_000, 5], [8_000, 6], [500, 7]];
  assert.deepEqual(runs(points), [points.slice(0, 2), points.slice(3, 5), points.slice(5, 7)]);
  assert.deepEqual(runs([]), []);
});

test('times and sizes are told as people read them', () => {
  assert.deepEqual([0, 30_000, 65_000].map(agoText), ['now', '30 s ago', '1:05 min ago']);
  assert.deepEqual([0, 180, 360, 720, 1080].map(levelOf), [0, 1, 2, 3, 4]);
});

test('one sentence says why it was blurred', () => {
  const samples = (more) => Array.from({ length: 60 }, (_, index) => ({ at: index * 2_000, loss: 0, pictures: [], ...more(index) }));
  const paused = { pictures: [{ id: 't1', name: 'Bob', height: 0, why: 'bandwidth' }] };
  assert.match(verdict(samples(() => ({}))), /last 2 minutes your connection carried all/);
  assert.match(verdict(samples((index) => (index < 5 ? paused : {}))), /paused for 10 s/);
  assert.match(verdict(samples((index) => (index < 5 ? { loss: 0.04 } : {}))), /up to 4.0 % .* got lost/);
  assert.match(verdict(samples((index) => (index === 5 ? { loss: 0.04 } : {}))), /carried all/, 'a single bad moment is nothing');
  assert.match(verdict(samples(() => ({})).slice(0, 2)), /A moment, please/);
});
