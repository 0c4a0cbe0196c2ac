// Microphones and cameras: muted, unmuted, exchanged, unplugged, slow and dead. The browser's part is played by the test.

import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { LocalTrack } from '../../web-demo/sluice.js';
import { DEVICE_WITHIN_MS } from '../../web-demo/sluice-devices.js';

class FakeTrack extends EventTarget {
  readyState = 'live';
  enabled = true;
  contentHint = '';

  constructor(deviceId) {
    super();
    this.deviceId = deviceId;
  }

  stop() {
    this.readyState = 'ended';
  }

  unplug() {
    this.readyState = 'ended';
    this.dispatchEvent(new Event('ended'));
  }
}

/** All tracks that devices have given. */
let given;
/** What `getUserMedia` does. */
let open;
let permission;

beforeEach(() => {
  given = [];
  permission = 'granted';
  open = async (wish) => {
    // Long enough for whatever was called at the same moment to overtake it.
    for (let turn = 0; turn < 5; turn += 1) await null;
    const track = new FakeTrack((wish.audio ?? wish.video).deviceId?.exact ?? 'default');
    given.push(track);
    return { getTracks: () => [track] };
  };
  const mediaDevices = { getUserMedia: (wish) => open(wish) };
  const permissions = { query: async () => ({ state: permission }) };
  Object.defineProperty(globalThis, 'navigator', { value: { mediaDevices, permissions }, configurable: true });
  globalThis.MediaStreamTrack = FakeTrack;
});

/** Stands for a room, and keeps what it was told. */
function published(track) {
  const told = { muted: [], sending: track.mediaStreamTrack, closed: 0 };
  track.outlet = {
    announce: (muted) => told.muted.push(muted),
    update: async () => {
      await null;
      told.sending = track.sending;
    },
    closed: () => (told.closed += 1),
  };
  return told;
}

const live = () => given.filter((track) => track.readyState === 'live');
const failing = (name) => async () => {
  throw Object.assign(new Error('told by the browser'), { name });
};

test('a muted camera is off, and comes back', async () => {
  const camera = await LocalTrack.camera();
  const told = published(camera);
  await camera.mute();
  assert.deepEqual([live().length, camera.mediaStreamTrack, told.sending], [0, null, null]);
  await camera.unmute();
  assert.deepEqual([live().length, told.sending], [1, live()[0]]);
  assert.deepEqual(told.muted, [true, false]);
});

test('a muted microphone stays open, silent, and sends nothing', async () => {
  const microphone = await LocalTrack.microphone();
  const told = published(microphone);
  const muting = microphone.mute();
  assert.equal(given[0].enabled, false, 'at once, whatever is still under way');
  await muting;
  assert.deepEqual([given.length, given[0].readyState, told.sending], [1, 'live', null]);
  await microphone.unmute();
  assert.deepEqual([given.length, given[0].enabled, told.sending], [1, true, given[0]]);
});

for (let clicks = 2; clicks <= 9; clicks += 1) {
  test(`${clicks} clicks at once end as the last one asked`, async () => {
    const camera = await LocalTrack.camera();
    const told = published(camera);
    const all = Array.from({ length: clicks }, () => (camera.muted ? camera.unmute() : camera.mute()));
    await Promise.all(all);
    const muted = clicks % 2 === 1;
    assert.equal(camera.muted, muted);
    assert.equal(told.muted.at(-1), muted);
    assert.equal(live().length, muted ? 0 : 1, 'no camera is left open');
    assert.equal(told.sending, muted ? null : live()[0]);
  });
}

test('another device is chosen while the first is being muted and unmuted', async () => {
  const camera = await LocalTrack.camera();
  const told = published(camera);
  await Promise.all([camera.mute(), camera.unmute(), camera.replace({ deviceId: { exact: 'other' } })]);
  assert.deepEqual(live().map(({ deviceId }) => deviceId), ['other']);
  assert.equal(told.sending, live()[0]);
});

test('the choice of another camera does not switch a muted one on', async () => {
  const camera = await LocalTrack.camera();
  published(camera);
  await camera.mute();
  await camera.replace({ deviceId: { exact: 'other' } });
  assert.equal(live().length, 0);
  await camera.unmute();
  assert.deepEqual(live().map(({ deviceId }) => deviceId), ['other']);
});

test('a device that cannot be opened leaves what was there', async () => {
  const microphone = await LocalTrack.microphone();
  const told = published(microphone);
  open = failing('NotReadableError');
  await assert.rejects(microphone.replace({ deviceId: { exact: 'other' } }), { code: 'in_use' });
  assert.deepEqual([live().length, told.sending], [1, given[0]]);
});

test('a camera that cannot be opened again stays muted, and can be tried again', async () => {
  const camera = await LocalTrack.camera();
  const told = published(camera);
  await camera.mute();
  const works = open;
  open = failing('NotReadableError');
  await assert.rejects(camera.unmute(), { code: 'in_use' });
  assert.deepEqual([camera.muted, told.muted.at(-1), told.sending], [true, true, null]);
  open = works;
  await camera.unmute();
  assert.deepEqual([camera.muted, told.muted.at(-1), live().length], [false, false, 1]);
});

test('a microphone that is unplugged becomes muted and tells so; another one takes its place', async () => {
  const microphone = await LocalTrack.microphone({ deviceId: { exact: 'usb' } });
  const told = published(microphone);
  let ended = 0;
  microphone.addEventListener('ended', () => (ended += 1));
  given[0].unplug();
  assert.deepEqual([ended, microphone.muted, told.muted, microphone.stopped], [1, true, [true], false]);
  const works = open;
  open = (wish) => (wish.audio.deviceId ? failing('OverconstrainedError')() : works(wish));
  await microphone.unmute();
  assert.deepEqual(live().map(({ deviceId }) => deviceId), ['default']);
  assert.equal(told.sending, live()[0]);
});

test('a share that was stopped in the browser is over', () => {
  const track = new FakeTrack('screen');
  const screen = new LocalTrack(track, 'screen');
  const told = published(screen);
  track.unplug();
  assert.deepEqual([screen.stopped, told.closed], [true, 1]);
});

test('our own stop fires no event, and is final', async () => {
  const camera = await LocalTrack.camera();
  let ended = 0;
  camera.addEventListener('ended', () => (ended += 1));
  camera.stop();
  assert.deepEqual([ended, live().length], [0, 0]);
  await assert.rejects(camera.replace({}), { code: 'ended' });
});

test('a camera that is stopped while it opens is closed', async () => {
  const camera = await LocalTrack.camera();
  await camera.mute();
  const opening = camera.unmute();
  for (let turn = 0; turn < 4; turn += 1) await null;
  camera.stop();
  await opening.catch(() => {});
  assert.equal(live().length, 0);
});

test('a device that gives nothing is given up, and closed if it comes after all', async () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let give;
    open = () => new Promise((resolve) => (give = resolve));
    const opening = assert.rejects(LocalTrack.camera(), { code: 'no_answer' });
    mock.timers.tick(DEVICE_WITHIN_MS);
    await opening;
    const late = new FakeTrack('default');
    give({ getTracks: () => [late] });
    await null;
    await null;
    assert.equal(late.readyState, 'ended');
  } finally {
    mock.timers.reset();
  }
});

test('what browsers throw becomes words', async () => {
  for (const [name, code] of [
    ['NotAllowedError', 'denied'],
    ['NotFoundError', 'missing'],
    ['NotReadableError', 'in_use'],
    ['TypeError', 'device'],
  ]) {
    open = failing(name);
    await assert.rejects(LocalTrack.camera(), (error) => error.code === code && / camera /.test(error.message) && !/browser\b.*told/.test(error.message));
  }
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
  await assert.rejects(LocalTrack.microphone(), { code: 'insecure' });
});
