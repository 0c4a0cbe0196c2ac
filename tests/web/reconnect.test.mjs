// When to connect, and how.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DISCONNECTED_GRACE_MS, MEDIA_WITHIN_MS, Reconnection, SHOW_AFTER_MS } from '../../web-demo/sluice-reconnect.js';

/** A policy with a clock of its own, and the steps it asked for. */
class Room {
  now = 1_000_000;
  steps = [];
  policy = new Reconnection(() => 0.5);

  is(type, more = {}) {
    this.steps.push(...this.policy.handle({ type, ...more }, this.now).map(brief));
    return this;
  }

  /** Lets time pass, with ticks when the policy asked for them. */
  pass(ms) {
    const end = this.now + ms;
    while (this.policy.wakeAt !== null && this.policy.wakeAt <= end) {
      this.now = Math.max(this.now, this.policy.wakeAt);
      this.is('tick');
    }
    this.now = end;
    return this;
  }

  take() {
    return this.steps.splice(0);
  }

  joined() {
    this.is('start').is('welcome', { renewed: true }).is('media', { state: 'connected' });
    this.take();
    return this.pass(10_000);
  }
}

const brief = (step) => {
  if (step.do === 'connect') return `connect${step.resume ? ' resume' : ''}${step.renew ? ' renew' : ''}`;
  if (step.do === 'show') return step.code ? `${step.state} ${step.code}` : step.state;
  return step.do;
};

test('a room is joined when the server has answered and media flows', () => {
  const room = new Room().is('start');
  assert.deepEqual(room.take(), ['joining', 'connect renew']);
  assert.deepEqual(room.is('welcome', { renewed: true }).take(), []);
  assert.deepEqual(room.is('media', { state: 'connecting' }).is('media', { state: 'connected' }).take(), ['joined']);
  assert.equal(room.policy.wakeAt, null, 'nothing is due');
});

test('somebody who cannot get in is told why, and is not kept waiting', () => {
  assert.deepEqual(new Room().is('start').is('closed').take().slice(2), ['close', 'failed unreachable']);
  assert.deepEqual(new Room().is('start').is('refused', { code: 'room_key' }).take().slice(2), ['close', 'failed room_key']);
  const blocked = new Room().is('start').is('welcome', { renewed: true });
  blocked.take();
  assert.deepEqual(blocked.pass(MEDIA_WITHIN_MS - 1).take(), []);
  assert.deepEqual(blocked.pass(1).take(), ['close', 'failed media_path']);
});

test('a busy server is asked again a few times by somebody new', () => {
  const room = new Room().is('start');
  for (let attempt = 0; attempt < 4; attempt += 1) {
    room.is('refused', { code: 'busy' }).take();
    assert.deepEqual(room.pass(5_000).take(), ['connect renew']);
  }
  assert.deepEqual(room.is('refused', { code: 'busy' }).take(), ['close', 'failed busy']);
});

test('a socket that breaks is opened again with the same media, and a short break is not shown', () => {
  const room = new Room().joined().is('closed');
  assert.deepEqual(room.take(), []);
  assert.deepEqual(room.pass(300).take(), ['connect resume']);
  assert.deepEqual(room.is('welcome', { renewed: false }).pass(5_000).take(), [], 'joined all the time');
  assert.equal(room.policy.state, 'joined');
});

test('a longer break is shown after a second, and over at once', () => {
  const room = new Room().joined().is('closed').pass(300).is('closed');
  room.take();
  assert.deepEqual(room.pass(SHOW_AFTER_MS - 300).take(), ['connect resume', 'reconnecting']);
  assert.deepEqual(room.is('welcome', { renewed: false }).take(), ['joined']);
});

test('attempts become rarer, up to half a minute, and the network coming back is not waited out', () => {
  const room = new Room().joined().is('closed');
  const waits = [];
  for (let attempt = 0; attempt < 10; attempt += 1) {
    waits.push(Math.round(room.policy.retryAt - room.now));
    room.pass(waits.at(-1)).is('closed');
  }
  assert.deepEqual(waits, [300, 600, 1200, 2400, 4800, 9600, 19200, 30000, 30000, 30000]);
  room.take();
  assert.deepEqual(room.is('nudge').take(), ['connect resume']);
  assert.deepEqual(room.is('nudge').take(), [], 'one attempt at a time');
});

test('after a good while of connection the delays begin anew', () => {
  const room = new Room().joined().is('closed').pass(300).is('closed').pass(600).is('welcome', { renewed: false });
  assert.equal(Math.round(room.is('closed').policy.retryAt - room.now), 1200, 'it did not hold');
  room.pass(1200).is('welcome', { renewed: false }).pass(6_000).is('closed');
  assert.equal(Math.round(room.policy.retryAt - room.now), 300);
});

test('media that fails is renewed while the participant stays the same', () => {
  const room = new Room().joined().is('media', { state: 'broken' });
  assert.deepEqual(room.take(), ['connect resume renew']);
  assert.deepEqual(room.is('welcome', { renewed: true }).is('media', { state: 'connected' }).take(), []);
  const told = new Room().joined().is('media_error');
  assert.deepEqual(told.take(), ['connect resume renew']);
});

test('media that wavers looks for another path, and gets some seconds to come back', () => {
  const room = new Room().joined().is('media', { state: 'disconnected' }).pass(900).is('media', { state: 'connected' });
  assert.deepEqual(room.pass(60_000).take(), ['restart']);
  room.is('media', { state: 'disconnected' }).pass(DISCONNECTED_GRACE_MS - 1);
  assert.deepEqual(room.take(), ['restart', 'reconnecting']);
  assert.deepEqual(room.pass(1).take(), ['connect resume renew']);
});

test('who comes back from another network finds another path for the same media', () => {
  const room = new Room().joined().is('closed').is('media', { state: 'disconnected' }).pass(300);
  assert.deepEqual(room.take(), ['connect resume'], 'there is nobody yet to restart with');
  room.pass(3_000).take();
  assert.deepEqual(room.is('welcome', { renewed: false }).take(), ['restart']);
  assert.deepEqual(room.pass(3_000).is('media', { state: 'connected' }).take(), ['joined']);
});

test('a socket and media that break together come back with new media', () => {
  const room = new Room().joined().is('closed').is('media', { state: 'broken' });
  assert.deepEqual(room.pass(300).take(), ['connect resume renew']);
  const meanwhile = new Room().joined().is('closed').pass(300);
  meanwhile.take();
  meanwhile.is('media', { state: 'broken' });
  assert.deepEqual(meanwhile.take(), [], 'the attempt that is under way is not disturbed');
  assert.deepEqual(meanwhile.is('welcome', { renewed: false }).take(), ['connect resume renew']);
});

test('a renewal that does not come up is tried again, ever more rarely', () => {
  const room = new Room().joined().is('media', { state: 'broken' }).is('welcome', { renewed: true });
  room.take();
  room.pass(MEDIA_WITHIN_MS);
  assert.deepEqual(room.take(), ['reconnecting']);
  assert.deepEqual(room.pass(600).take(), ['connect resume renew']);
});

test('where the server has let go of the media meanwhile, it is renewed', () => {
  const room = new Room().joined().is('closed').pass(300).is('refused', { code: 'media' });
  assert.deepEqual(room.take(), ['connect resume', 'connect resume renew']);
  assert.deepEqual(room.is('refused', { code: 'media' }).take(), ['close', 'failed media'], 'not for ever');
});

test('where there is nothing to resume, the room is joined anew', () => {
  const room = new Room().joined().is('closed').pass(300).is('refused', { code: 'resume' });
  assert.deepEqual(room.take(), ['connect resume', 'connect renew']);
  assert.deepEqual(room.is('welcome', { renewed: true }).is('media', { state: 'connected' }).take(), []);
});

test('a goodbye with a time to come back is waited out; without one it is the end', () => {
  const room = new Room().joined().is('bye', { code: 'restarting', retryMs: 2_000 });
  assert.deepEqual(room.pass(1_999).take(), ['reconnecting']);
  assert.deepEqual(room.pass(1).take(), ['connect resume']);
  assert.deepEqual(new Room().joined().is('bye', { code: 'removed' }).take(), ['close', 'failed removed']);
  assert.deepEqual(new Room().joined().is('bye', { code: 'left' }).take(), ['close', 'left left']);
});

test('whoever left stays away, and can join again', () => {
  const room = new Room().joined().is('leave');
  assert.deepEqual(room.take(), ['close', 'left left']);
  for (const late of [['closed'], ['nudge'], ['media', { state: 'broken' }], ['welcome', { renewed: true }]]) room.is(...late);
  assert.deepEqual(room.pass(60_000).take(), []);
  assert.deepEqual(room.is('start').take(), ['joining', 'connect renew']);
});

test('a full room is waited for by somebody who was in it', () => {
  const room = new Room().joined().is('closed').pass(300).is('refused', { code: 'full' });
  room.take();
  assert.deepEqual(room.pass(600).take(), ['connect resume']);
  assert.deepEqual(room.is('refused', { code: 'room_key' }).take(), ['close', 'failed room_key']);
});

test('media that falls silent is no fault while the server answers', () => {
  const room = new Room().joined().is('silent');
  assert.deepEqual(room.take(), ['ping']);
  assert.deepEqual(room.pass(60_000).is('flows').take(), []);
});

test('media that falls silent with the socket takes another path at once', () => {
  const room = new Room().joined().is('silent').is('closed');
  assert.deepEqual(room.take(), ['ping', 'connect resume']);
  assert.deepEqual(room.is('welcome', { renewed: false }).take(), ['restart']);
  room.is('closed');
  assert.deepEqual(room.take(), [], 'the next one waits, as it does without');
  const twice = new Room().joined().is('silent').is('closed').is('closed');
  assert.deepEqual(twice.take(), ['ping', 'connect resume'], 'a server that is not there is not asked again at once');
});
