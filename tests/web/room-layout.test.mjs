// Where tiles go: nothing overlaps, nothing sticks out, nothing is smaller than it could be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  GAP, MOST, floating, focus, grid, nearestCorner, place, placeStrip, promote, shaped,
} from '../../web-demo/room-layout.js';

const STAGES = [[1424, 804], [1008, 672], [374, 700], [360, 560], [820, 1080], [1096, 804], [3400, 1300], [844, 300]];

function check(boxes, width, height, what) {
  for (const [index, box] of boxes.entries()) {
    const inside = box.x >= 0 && box.y >= 0 && box.x + box.w <= width && box.y + box.h <= height;
    assert.ok(inside && box.w > 0 && box.h > 0, `${what}: tile ${index} is outside: ${JSON.stringify(box)}`);
    for (const other of boxes.slice(index + 1)) {
      const apart = box.x + box.w + GAP <= other.x || other.x + other.w + GAP <= box.x
        || box.y + box.h + GAP <= other.y || other.y + other.h + GAP <= box.y;
      assert.ok(apart, `${what}: tiles touch`);
    }
  }
}

test('tiles of every page are inside the stage and apart, for 1 to 60 tiles on every stage', () => {
  for (const [width, height] of STAGES) {
    for (let count = 1; count <= 60; count += 1) {
      const plan = grid(width, height, count);
      assert.ok(plan.perPage <= MOST);
      assert.ok(plan.perPage * plan.pages >= count && plan.perPage * (plan.pages - 1) < count);
      const last = count - plan.perPage * (plan.pages - 1);
      check(place(plan, width, height, plan.perPage), width, height, `${count} on ${width}x${height}`);
      check(place(plan, width, height, last), width, height, `last page of ${count} on ${width}x${height}`);
    }
  }
});

test('the column count is the one that makes tiles largest, or next to it with fewer rows', () => {
  const columns = (count, width = 1424, height = 804) => grid(width, height, count).columns;
  assert.deepEqual([1, 2, 3, 4, 5, 6, 9, 12, 16, 25].map((count) => columns(count)), [1, 2, 2, 2, 3, 3, 3, 4, 4, 5]);
  assert.equal(columns(2, 374, 700), 1, 'two on a phone are one above the other');
  assert.deepEqual([3, 4, 6].map((count) => columns(count, 374, 740)), [1, 2, 2], 'upright faces on a phone');
  assert.equal(columns(4, 3400, 700), 4, 'four in a very wide window');
});

test('tiles are 16:9 on a computer and between 4:5 and 16:9 on a phone', () => {
  for (let count = 2; count <= 25; count += 1) {
    const wide = grid(1424, 804, count);
    assert.ok(Math.abs(wide.w / wide.h - 16 / 9) < 0.02, `${count}: ${wide.w}x${wide.h}`);
    const phone = grid(374, 700, count);
    assert.ok(phone.w / phone.h > 0.79 && phone.w / phone.h < 1.8, `${count}: ${phone.w}x${phone.h}`);
  }
});

test('the last row is centred', () => {
  const plan = grid(1424, 804, 5);
  const boxes = place(plan, 1424, 804, 5);
  const last = boxes.slice(3);
  const left = last[0].x;
  const right = 1424 - (last[1].x + last[1].w);
  assert.ok(Math.abs(left - right) <= 1, `${left} left, ${right} right`);
});

test('tiles that would be too small go to more pages, which are filled about evenly', () => {
  const plan = grid(374, 700, 17);
  assert.ok(plan.pages > 1 && plan.w >= 140);
  assert.equal(grid(1424, 804, 26).perPage, 16, 'four full rows of four');
  assert.equal(grid(1424, 804, 61).perPage, 25);
  assert.equal(grid(1424, 804, 25).pages, 1);
});

test('one large tile and its strip fill the stage without touching', () => {
  for (const [width, height] of STAGES) {
    for (const others of [0, 1, 2, 5, 30]) {
      const plan = focus(width, height, others);
      const shown = Math.min(others, plan.perPage);
      check([plan.main, ...placeStrip(plan, width, height, shown)], width, height, `${others} on ${width}x${height}`);
      assert.ok(plan.main.w * plan.main.h > 0.6 * width * height || others > 0);
    }
  }
  for (const [width, height] of STAGES) {
    for (const others of [1, 4, 9, 30]) {
      const plan = focus(width, height, others, 16 / 9);
      const boxes = placeStrip(plan, width, height, Math.min(others, plan.perPage));
      check([shaped(plan.main, 16 / 9), ...boxes], width, height, `a screen and ${others} on ${width}x${height}`);
    }
  }
  assert.ok(focus(374, 740, 4, 16 / 9).perPage === 4, 'a screen on a phone leaves room for four faces');
  assert.equal(focus(1424, 804, 3).side, true);
  assert.equal(focus(374, 700, 3).side, false);
});

test('a shared screen gets a box of its own shape, as large as fits', () => {
  assert.deepEqual(shaped({ x: 0, y: 0, w: 1000, h: 1000 }, 2), { x: 0, y: 250, w: 1000, h: 500 });
  assert.deepEqual(shaped({ x: 8, y: 0, w: 1000, h: 250 }, 2), { x: 258, y: 0, w: 500, h: 250 });
  assert.deepEqual(shaped({ x: 8, y: 0, w: 1000, h: 250 }, 0), { x: 8, y: 0, w: 1000, h: 250 }, 'unknown');
});

test('the own tile keeps to a corner and finds the nearest one', () => {
  for (const [width, height] of STAGES) {
    for (const corner of ['top left', 'top right', 'bottom left', 'bottom right']) {
      const box = floating(width, height, corner);
      check([box], width, height, corner);
      assert.equal(nearestCorner(box, width, height), corner);
    }
  }
});

test('who speaks comes to the first page, and only the quietest there goes', () => {
  const order = ['a', 'b', 'c', 'd', 'e', 'f'];
  const spoke = { a: 5, b: 1, c: 9, d: 0, e: 0, f: 0 };
  assert.equal(promote(order, 'b', 3, (key) => spoke[key]), order, 'who is there stays there');
  assert.deepEqual(promote(order, 'e', 3, (key) => spoke[key]), ['a', 'e', 'c', 'd', 'b', 'f']);
  assert.deepEqual(promote(order, 'e', 3, () => 0), ['a', 'b', 'e', 'd', 'c', 'f'], 'the last one goes first');
  assert.equal(promote(order, 'e', 1, () => Infinity), order, 'not who must not move');
});
