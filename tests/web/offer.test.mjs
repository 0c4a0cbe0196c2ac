// What is done to offers, and whom senders belong to.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chooseCodecs, midsOf, withStereo } from '../../web-demo/sluice-sdp.js';
import { planEncodings, sectionEncodings } from '../../web-demo/sluice-encodings.js';
import { Sender } from '../../web-demo/sluice-sender.js';

const CODECS = [
  { mimeType: 'video/VP8' },
  { mimeType: 'video/rtx' },
  { mimeType: 'video/VP9', sdpFmtpLine: 'profile-id=0' },
  { mimeType: 'video/VP9', sdpFmtpLine: 'profile-id=2' },
  { mimeType: 'video/H264', sdpFmtpLine: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f' },
  { mimeType: 'video/H264', sdpFmtpLine: 'level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f' },
  { mimeType: 'video/H264', sdpFmtpLine: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F' },
  { mimeType: 'video/H264', sdpFmtpLine: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f' },
  { mimeType: 'video/AV1', sdpFmtpLine: 'level-idx=5;profile=0;tier=0' },
  { mimeType: 'video/AV1', sdpFmtpLine: 'level-idx=5;profile=1;tier=0' },
  { mimeType: 'video/red' },
  { mimeType: 'video/ulpfec' },
];
const brief = (codecs) => codecs.map(({ mimeType, sdpFmtpLine }) => `${mimeType.slice(6)}${/profile[^;]*=\w+/.exec(sdpFmtpLine ?? '')?.[0] ?? ''}`);

test('one format of each codec is offered, and what repairs it', () => {
  assert.deepEqual(brief(chooseCodecs(CODECS)), [
    'VP8',
    'VP9profile-id=0',
    'H264profile-level-id=42001f',
    'H264profile-level-id=42E01F',
    'AV1profile=0',
    'rtx',
  ]);
  assert.deepEqual(brief(chooseCodecs(CODECS, 'h264')).slice(0, 2), ['H264profile-level-id=42001f', 'H264profile-level-id=42E01F']);
  assert.deepEqual(brief(chooseCodecs(CODECS.slice(0, 2), 'av1')), ['VP8', 'rtx'], 'a codec that is not there is not insisted on');
  assert.deepEqual(chooseCodecs([{ mimeType: 'video/rtx' }]), [], 'nothing is chosen from nothing');
});

test('sections are named in the order of the offer, without the one of data channels', () => {
  const sdp = 'v=0\r\nm=audio 9 X 0\r\na=mid:0\r\nm=application 9 X 0\r\na=mid:1\r\nm=video 9 X 0\r\na=mid:v2\r\n';
  assert.deepEqual(midsOf(sdp), ['0', 'v2']);
});

test('every section of sound asks for stereo, once', () => {
  const section = (mid, more = '') => `m=audio 9 X 111\r\na=mid:${mid}\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10${more}\r\n`;
  const sdp = `v=0\r\n${section(0)}${section(1, ';stereo=0')}${section(2)}`;
  assert.equal(withStereo(sdp), `v=0\r\n${section(0, ';stereo=1')}${section(1, ';stereo=0')}${section(2, ';stereo=1')}`);
});

/** A sender that takes its time, as a browser's does, and for each call less than for the one before. */
function slowSender() {
  let turns = 60;
  const pause = async () => {
    turns -= 5;
    for (let left = turns; left > 0; left -= 1) await null;
  };
  const sender = {
    track: null,
    active: true,
    getParameters: () => ({ encodings: [{ active: sender.active }] }),
    async setParameters({ encodings }) {
      await pause();
      sender.active = encodings[0].active;
    },
    async replaceTrack(track) {
      await pause();
      sender.track = track;
    },
  };
  return sender;
}

test('whatever is asked of a sender in one moment, it ends as asked last', async () => {
  const track = (name) => ({ name, readyState: 'live' });
  for (const [last, wanted] of [[track('b'), true], [null, true], [track('b'), false]]) {
    const slow = slowSender();
    const sender = new Sender({ sender: slow });
    const all = [sender.send(track('a')), sender.negotiated(), sender.send(null), sender.want(false), sender.send(track('c'))];
    await Promise.all([...all, sender.want(wanted), sender.send(last)]);
    assert.equal(slow.active, last !== null && wanted);
    if (last) assert.equal(slow.track, last);
  }
});

test('a track that follows another at once is the one that is sent', async () => {
  const slow = slowSender();
  const sender = new Sender({ sender: slow });
  await sender.negotiated();
  await Promise.all([sender.send({ readyState: 'live' }), sender.send(null), sender.send({ name: 'last', readyState: 'live' })]);
  assert.deepEqual([slow.track.name, slow.active], ['last', true]);
});

/** A browser's sender of a camera, which refuses what browsers refuse. */
function layeredSender() {
  const sender = {
    track: null,
    calls: 0,
    busy: false,
    encodings: sectionEncodings('camera').map((encoding) => ({ active: true, ...encoding })),
    getParameters: () => ({ transactionId: 't', encodings: sender.encodings.map((encoding) => ({ ...encoding })) }),
    async setParameters({ encodings }) {
      assert.equal(sender.busy, false, 'one call at a time');
      assert.deepEqual(encodings.map(({ rid }) => rid), sender.encodings.map(({ rid }) => rid), 'in the same order');
      [sender.busy, sender.calls] = [true, sender.calls + 1];
      for (let turn = 0; turn < 3; turn += 1) await null;
      [sender.busy, sender.encodings] = [false, encodings];
    },
    async replaceTrack(track) {
      sender.track = track;
    },
    get on() {
      return sender.encodings.filter(({ active }) => active).map(({ rid, scaleResolutionDownBy }) => `${rid}/${scaleResolutionDownBy}`).join(' ');
    },
  };
  return sender;
}
const picture = (width, height) => ({ readyState: 'live', getSettings: () => ({ width, height }) });

test('a picture is sent in as many sizes as make sense of it, and upright as well as lying', async () => {
  for (const [width, height, on] of [[1280, 720, 'q/4 h/2 f/1'], [720, 1280, 'q/4 h/2 f/1'], [640, 360, 'q/2 h/1'], [320, 180, 'q/1'], [0, 0, 'q/1']]) {
    const browser = layeredSender();
    const sender = new Sender({ sender: browser });
    await sender.negotiated();
    await sender.send(picture(width, height));
    assert.equal(browser.on, on, `${width}x${height}`);
  }
  assert.deepEqual(planEncodings(720).map(({ maxBitrate }) => maxBitrate), [150_000, 500_000, 1_700_000]);
});

test('another device, or another size of the picture, is what is sent from then on', async () => {
  const browser = layeredSender();
  const sender = new Sender({ sender: browser });
  await sender.negotiated();
  await sender.send(picture(1280, 720));
  const small = picture(320, 240);
  await sender.send(small);
  assert.deepEqual([browser.on, browser.track], ['q/1', small]);
  const calls = browser.calls;
  await sender.send(small);
  assert.equal(browser.calls, calls, 'nothing is told twice');
});

test('simulcast can be turned off, and be of other sizes', async () => {
  const browser = layeredSender();
  const sender = new Sender({ sender: browser });
  await sender.negotiated();
  await sender.send(picture(1280, 720), false);
  assert.deepEqual([browser.on, browser.encodings[0].maxBitrate], ['q/1', 1_700_000]);
  await sender.send(picture(1280, 720), [{ scaleResolutionDownBy: 3, maxBitrate: 99_000 }, {}]);
  assert.deepEqual([browser.on, browser.encodings[0].maxBitrate], ['q/3 h/1', 99_000]);
});

test('encodings that nobody uses are off, and on again at once', async () => {
  const browser = layeredSender();
  const sender = new Sender({ sender: browser });
  await sender.negotiated();
  await sender.send(picture(1280, 720));
  const asked = async (...words) => {
    await sender.want(...words);
    return browser.on;
  };
  assert.equal(await asked(true, ['q', 'h']), 'q/4 h/2');
  assert.equal(await asked(true, ['f']), 'f/1');
  assert.equal(await asked(false, ['f']), '');
  assert.equal(await asked(true), 'q/4 h/2 f/1');
  assert.equal(await asked(true, ['x']), 'q/4 h/2 f/1', 'names of no encoding keep no picture back');
  assert.equal(await asked(true, []), 'q/4 h/2 f/1');
  await Promise.all([sender.want(false), sender.want(true, ['q']), sender.send(null), sender.send(picture(1280, 720)), sender.want(true, ['h'])]);
  assert.equal(browser.on, 'h/2', 'many at once end as the last one');
});

test('a browser that refuses parameters still sends', async () => {
  const browser = layeredSender();
  browser.setParameters = async () => {
    throw new Error('InvalidModificationError');
  };
  const sender = new Sender({ sender: browser });
  await sender.negotiated();
  const track = picture(640, 360);
  await sender.send(track);
  await sender.want(true, ['q']);
  assert.equal(browser.track, track);
});
