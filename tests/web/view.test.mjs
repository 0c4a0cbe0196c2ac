// Which track goes to which slot, and when a slot's picture may be seen.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BLIND_MS, carries, isOfTrack, planSlots, viewOf } from '../../web-demo/sluice-view.js';

const wish = (track, more = {}) => ({ track, w: 320, h: 180, priority: 1, muted: false, ...more });
const plan = (slots, now, wishes) => {
  const { slots: planned, without } = planSlots(slots, new Map(Object.entries(now)), wishes);
  return { ...Object.fromEntries(planned), without };
};

test('a track stays in the slot that it has, whatever comes and goes around it', () => {
  const first = plan(['a', 'b', 'c'], {}, [wish('t1'), wish('t2'), wish('t3')]);
  assert.deepEqual(first, { a: 't1', b: 't2', c: 't3', without: [] });
  const next = plan(['a', 'b', 'c'], { a: 't1', b: 't2', c: 't3' }, [wish('t9'), wish('t3'), wish('t1', { w: 1280 })]);
  assert.deepEqual(next, { a: 't1', b: 't9', c: 't3', without: [] });
});

test('a new track prefers a slot that is empty to one whose picture has to be taken away', () => {
  const planned = plan(['a', 'b', 'c'], { a: 't1', b: 't2' }, [wish('t2'), wish('t3')]);
  assert.deepEqual(planned, { b: 't2', c: 't3', without: [] });
});

test('a page of other tracks takes all slots at once', () => {
  const planned = plan(['a', 'b'], { a: 't1', b: 't2' }, [wish('t3'), wish('t4')]);
  assert.deepEqual(planned, { a: 't3', b: 't4', without: [] });
});

test('where slots are too few, muted tracks go without first, then less important, then smaller ones', () => {
  const wishes = [wish('small', { w: 160, h: 90 }), wish('muted', { muted: true, priority: 9 }), wish('big', { w: 640 }), wish('pinned', { priority: 2 })];
  assert.deepEqual(plan(['a', 'b', 'c'], {}, wishes).without, ['muted']);
  assert.deepEqual(plan(['a', 'b'], {}, wishes).without, ['small', 'muted']);
  assert.deepEqual(plan(['a'], {}, wishes), { a: 'pinned', without: ['big', 'small', 'muted'] });
});

test('a track that is muted keeps its slot while nobody needs it', () => {
  assert.deepEqual(plan(['a', 'b'], { b: 't1' }, [wish('t1', { muted: true }), wish('t2')]), { a: 't2', b: 't1', without: [] });
});

test('no plan binds a track twice, uses a slot that is not there, or moves what can stay', () => {
  let state = 7;
  const random = (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
  let now = {};
  for (let round = 0; round < 2000; round += 1) {
    const slots = [...'abcdefghi'].slice(0, 1 + random(9));
    const ids = new Set(Array.from({ length: random(14) }, () => `t${random(16)}`));
    const wishes = [...ids].map((id) => wish(id, { w: 16 * (1 + random(80)), muted: random(4) === 0, priority: random(3) }));
    const { without, ...next } = plan(slots, now, wishes);
    const bound = Object.values(next);
    assert.equal(new Set(bound).size, bound.length, 'a track is in one slot');
    assert.ok(Object.keys(next).every((slot) => slots.includes(slot)));
    assert.equal(bound.length + without.length, wishes.length, 'every wish is met or told');
    assert.ok(without.length === 0 || bound.length === slots.length, 'no slot is empty while a wish is not met');
    for (const [slot, track] of Object.entries(now)) {
      if (slots.includes(slot) && bound.includes(track)) assert.equal(next[slot], track, 'what stays, stays in place');
    }
    now = next;
  }
});

test('a view tells sizes in steps, so that dragging a window is not a message per pixel', () => {
  const view = (w) => JSON.stringify(viewOf(new Map([['7', 't1']]), [wish('t1', { w, h: 180 })], ['t5']));
  assert.equal(view(321), view(335));
  assert.notEqual(view(321), view(337));
  assert.deepEqual(JSON.parse(view(321)), {
    slots: [{ mid: '7', track: 't1', w: 336, h: 192 }],
    audio: { tracks: ['t5'], auto: true },
  });
});

test('a size that changes a little is told as before, and one that changes much is told', () => {
  const told = new Map([['t1', { w: 640, h: 360 }]]);
  const size = (w, h) => viewOf(new Map([['7', 't1']]), [wish('t1', { w, h })], [], told).slots[0];
  assert.deepEqual(size(660, 372), { mid: '7', track: 't1', w: 640, h: 360 });
  assert.deepEqual(size(600, 338), { mid: '7', track: 't1', w: 640, h: 360 });
  assert.deepEqual(size(720, 405), { mid: '7', track: 't1', w: 720, h: 416 });
  assert.deepEqual(size(320, 180), { mid: '7', track: 't1', w: 320, h: 192 });
});

test('a slot carries a track once the newest packets are of it, and from that frame on', () => {
  const at = (contributing) => carries(64, { contributing, lastFrame: 0, boundAt: 0 }, 1e9);
  const mine = { source: 64, timestamp: 20, rtpTimestamp: 900 };
  assert.deepEqual(at([mine]), { from: 900 });
  assert.deepEqual(at([{ source: 65, timestamp: 10, rtpTimestamp: 800 }, mine]), { from: 900 });
  assert.equal(at([{ source: 65, timestamp: 30 }, mine]), null, 'however long it takes');
  assert.deepEqual(at([{ source: 64, timestamp: 20 }]), { from: null }, 'a browser without RTP timestamps');
});

test('where a browser tells no contributing sources, a slot is left alone for a while after it was bound', () => {
  const at = (now, lastFrame, boundAt = 1000) => carries(64, { contributing: [], lastFrame, boundAt }, now) !== null;
  assert.equal(at(1000 + BLIND_MS - 1, 1100), false, 'too early');
  assert.equal(at(1000 + BLIND_MS, 1100), true);
  assert.equal(at(1000 + BLIND_MS, 900), false, 'no frame has come since');
  assert.equal(at(1000 + BLIND_MS, null), true, 'it does not tell when frames come');
  assert.equal(at(9000, 8000, null), false, 'it is not bound');
});

test('a frame that was on its way when the slot changed hands is not seen', () => {
  assert.equal(isOfTrack(900, 899, 1), false);
  assert.equal(isOfTrack(900, 899, 5), false);
  assert.equal(isOfTrack(900, 900, 1), true);
  assert.equal(isOfTrack(2 ** 32 - 10, 5, 1), true, 'timestamps wrap around');
  assert.equal(isOfTrack(5, 2 ** 32 - 10, 1), false);
  assert.equal(isOfTrack(null, 900, 1), false, 'without timestamps one frame is let pass');
  assert.equal(isOfTrack(null, undefined, 2), true);
});
