// What plays what: publishers of others, in each codec, watched by players of others. The evidence is decoded pictures.
//
// Each publisher is a test; it publishes once, and all players watch it one after the other. The table goes to
// `docs/interop.md` (with UPDATE_DOCS=1), or must be what is there.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after } from 'node:test';
import { build } from 'esbuild';

import { chromium, firefox } from '../../harness/browsers.mjs';
import { Child } from '../../harness/child.mjs';
import { publishAiortc, publishFfmpeg, watchAiortc } from '../../harness/peers.mjs';
import { Server } from '../../harness/server.mjs';
import { e2e } from '../../harness/test.mjs';
import { Viewer } from '../../harness/viewer.mjs';
import { until } from '../../harness/wait.mjs';

const here = (name) => new URL(`../${name}`, import.meta.url).pathname;
/// A folder with a newer Debian and its FFmpeg and GStreamer, which tests/run makes.
const DEBIAN = new URL('../../../../target/interop/forky', import.meta.url).pathname;
const PAGE = new URL('../../../../docs/interop.md', import.meta.url).pathname;
/// Of a picture that moves so many are proof.
const FRAMES = 20;

/// Another program of this folder that publishes; resolves when it is connected.
async function publishNode(scope, script, ...words) {
  const child = new Child(scope, script, process.execPath, [here(`peers/${script}`), ...words], { env: process.env });
  await child.message('up');
}

/// A Python program of this folder, run with what the Debian folder has.
function python(scope, script, ...words) {
  return new Child(scope, script, 'chroot', [DEBIAN, 'python3', '-u', '-c', readFileSync(here(`peers/${script}`), 'utf8'), ...words]);
}

async function publishGstreamer(scope, url, { codec }) {
  await python(scope, 'publish_gstreamer.py', url, '--codec', codec).message('up');
}

/// FFmpeg's own program.
async function publishFfmpegItself(scope, url) {
  const half = (colour, name) => `color=${colour}:s=320x360:r=25[${name}]`;
  const picture = `${half('0xE02020', 'left')};${half('0x2020E0', 'right')};[left][right]hstack`;
  const input = ['-re', '-f', 'lavfi', '-i', picture, '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
  const video = '-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -bf 0 -g 25 -pix_fmt yuv420p'.split(' ');
  const child = new Child(scope, 'ffmpeg', 'chroot', [DEBIAN, 'ffmpeg', ...input, ...video, ...'-c:a libopus -ac 2 -f whip'.split(' '), url]);
  await until('the stream', async () => {
    assert.equal(child.end, undefined, child.lines.slice(-3).join(' | '));
    return (await fetch(url.replace('/whip/', '/whep/'), { method: 'HEAD' })).ok;
  }, 20);
}

/// A browser publishes its fake camera.
const browser = (open, codec, more = {}) => async (scope, url) => {
  const page = await open(scope);
  const reply = await page.evaluate((...words) => probe.publish(...words), url, codec, null, more);
  assert.equal(reply.status, 201, JSON.stringify(reply));
};

const SIZES = ['q', 'h', 'f'].map((rid, place) => ({ rid, scaleResolutionDownBy: 4 / 2 ** place }));
const L1T2 = SIZES.map((size) => ({ ...size, scalabilityMode: 'L1T2' }));

/// Who publishes: name, codec, how, and whether the picture is the known one.
const PUBLISHERS = [
  ['FFmpeg 8.1 (PyAV 18)', 'H264', (scope, url) => publishFfmpeg(scope, url), true],
  ['FFmpeg 9', 'H264', publishFfmpegItself, true],
  ['GStreamer 1.28 (webrtcbin)', 'VP8', publishGstreamer, true],
  ['GStreamer 1.28 (webrtcbin)', 'H264', publishGstreamer, true],
  ['libdatachannel, as OBS offers', 'H264', (scope, url) => publishNode(scope, 'publish_datachannel.mjs', url, '1'), true],
  ['libdatachannel, as OBS offers 3 layers', 'H264', (scope, url) => publishNode(scope, 'publish_datachannel.mjs', url, '3'), true],
  ['libwebrtc (@roamhq/wrtc), 3 layers', 'VP8', (scope, url) => publishNode(scope, 'publish_wrtc.mjs', url), true],
  ['aiortc 1.16', 'VP8', publishAiortc, true],
  ['aiortc 1.16', 'H264', publishAiortc, true],
  ...['VP8', 'VP9', 'H264', 'AV1'].map((codec) => ['Chromium', codec, browser(chromium, codec)]),
  ['Chromium, 3 layers', 'VP8', browser(chromium, 'VP8', { sendEncodings: SIZES, height: 720 })],
  ['Chromium, 3 layers', 'H264', browser(chromium, 'H264', { sendEncodings: SIZES, height: 720 })],
  ['Chromium, 3 layers', 'VP9', browser(chromium, 'VP9', { sendEncodings: L1T2, height: 720 })],
  ['Chromium, L3T3_KEY', 'VP9', browser(chromium, 'VP9', { mode: 'L3T3_KEY', height: 720 })],
  ...['VP8', 'VP9'].map((codec) => ['Firefox', codec, browser(firefox, codec)]),
];

/// What nobody can expect of a player: it has no decoder.
const WITHOUT = { Firefox: ['H264'], aiortc: ['VP9', 'AV1'], 'GStreamer 1.28 (webrtcbin)': ['AV1'] };

/// Players: given a scope, the address, whether the picture is known and the codec, how many pictures were decoded, and their
/// size if they tell.
const bare = (open) => async (scope, url, isKnown) => seen(await Viewer.bare(scope, open, url), isKnown);
const PLAYERS = {
  Chromium: bare(chromium),
  Firefox: bare(firefox),
  'Eyevinn webrtc-player 0.13': theirs('eyevinn'),
  'medooze whip-whep 1.2': theirs('medooze'),
  aiortc: (scope, url, isKnown) => watchAiortc(scope, url).then((child) => counted(child, isKnown)),
  'GStreamer 1.28 (webrtcbin)': (scope, url, isKnown, codec) => counted(python(scope, 'watch_gstreamer.py', url, '--codec', codec), isKnown),
};

/// What a viewer in a browser decodes.
async function seen(viewer, isKnown) {
  const { decoded } = await viewer.plays(FRAMES, 20);
  if (isKnown) await viewer.shows('red', 'blue');
  const { width, height } = await viewer.look();
  return { decoded, size: `${width}x${height}` };
}

/// A player of somebody else's, in Chromium.
function theirs(name) {
  const bundled = build({ entryPoints: [here(`players/${name}.js`)], bundle: true, write: false, format: 'iife' });
  return async (scope, url, isKnown) => {
    const [script] = (await bundled).outputFiles;
    const page = await chromium(scope, undefined, { scripts: [script.text] });
    await page.evaluate((address) => play(address), url);
    return seen(new Viewer(page), isKnown);
  };
}

/// What a player in Python decodes, as it tells.
async function counted(child, isKnown) {
  const reading = await until(`${FRAMES} frames`, () => {
    const last = child.messages.findLast((one) => one.seen)?.seen;
    return last?.video >= FRAMES && last;
  }, 20);
  if (isKnown) assert.ok(reading.left[0] > 140 && reading.right[2] > 140, JSON.stringify(reading));
  return { decoded: reading.video, size: '' };
}

/// A part of a test, whose things go when it is over.
class Part {
  #ends = [];

  constructor(scope) {
    this.scope = scope;
  }

  defer(end) {
    this.#ends.push(end);
  }

  onFailure(report) {
    this.scope.onFailure(report);
  }

  async run(body) {
    try {
      return await body(this);
    } finally {
      for (const end of this.#ends.reverse()) await end();
    }
  }
}

const rows = [];

for (const [name, codec, publish, isKnown] of PUBLISHERS) {
  e2e(`${name}, ${codec}: everybody who has the codec sees it`, async (scope) => {
    const server = await Server.start(scope);
    await publish(scope, server.whip('interop'), { codec });
    const row = {};
    for (const [player, watch] of Object.entries(PLAYERS)) {
      if (WITHOUT[player]?.includes(codec)) {
        row[player] = 'no decoder';
        continue;
      }
      const began = performance.now();
      const { decoded, size } = await new Part(scope).run((part) => watch(part, server.whep('interop'), isKnown, codec));
      row[player] = 'plays';
      console.log(`  ${name}, ${codec}: ${player} decoded ${decoded} pictures ${size} within ${Math.round(performance.now() - began)} ms`);
    }
    rows.push([name, codec, row]);
  }, { seconds: 150 });
}

after(() => {
  const players = Object.keys(PLAYERS);
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const table = [line(['publisher', 'codec', ...players]), line(['---', '---', ...players.map(() => '---')])];
  rows.forEach(([name, codec, row]) => table.push(line([name, codec, ...players.map((player) => row[player])])));
  const page = readFileSync(PAGE, 'utf8');
  const [head, , tail] = page.split(/<!-- (?:table|end) -->\n/);
  const made = `${head}<!-- table -->\n${table.join('\n')}\n<!-- end -->\n${tail}`;
  if (process.env.UPDATE_DOCS) {
    writeFileSync(PAGE, made);
  } else {
    assert.equal(page, made, 'docs/interop.md is what was measured: UPDATE_DOCS=1 tests/run interop');
  }
});
