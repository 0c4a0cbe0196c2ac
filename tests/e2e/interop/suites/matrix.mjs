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
const PAGE = new URL('../../../../docs/interop.md', import.meta.url).pathname;
/// Of a picture that moves so many are proof.
const FRAMES = 20;

/// Another program of this folder that publishes; resolves when it is connected.
async function publishNode(scope, script, ...words) {
  const child = new Child(scope, script, process.execPath, [here(`peers/${script}`), ...words], { env: process.env });
  await child.message('up');
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
  ['FFmpeg 8.1 (PyAV 18)', 'H264', publishFfmpeg, true],
  ['libdatachannel, as OBS offers', 'H264', (scope, url) => publishNode(scope, 'publish_datachannel.mjs', url, '1'), true],
  ['libdatachannel, as OBS offers 3 layers', 'H264', (scope, url) => publishNode(scope, 'publish_datachannel.mjs', url, '3'), true],
  ['libwebrtc (@roamhq/wrtc), 3 layers', 'VP8', (scope, url) => publishNode(scope, 'publish_wrtc.mjs', url), true],
  ['aiortc 1.16', 'VP8', (scope, url) => publishAiortc(scope, url, { codec: 'VP8' }), true],
  ['aiortc 1.16', 'H264', (scope, url) => publishAiortc(scope, url, { codec: 'H264' }), true],
  ...['VP8', 'VP9', 'H264', 'AV1'].map((codec) => ['Chromium', codec, browser(chromium, codec)]),
  ['Chromium, 3 layers', 'VP8', browser(chromium, 'VP8', { sendEncodings: SIZES, height: 720 })],
  ['Chromium, 3 layers', 'H264', browser(chromium, 'H264', { sendEncodings: SIZES, height: 720 })],
  ['Chromium, 3 layers', 'VP9', browser(chromium, 'VP9', { sendEncodings: L1T2, height: 720 })],
  ['Chromium, L3T3_KEY', 'VP9', browser(chromium, 'VP9', { mode: 'L3T3_KEY', height: 720 })],
  ...['VP8', 'VP9'].map((codec) => ['Firefox', codec, browser(firefox, codec)]),
];

/// What nobody can expect of a player: it has no decoder.
const WITHOUT = { Firefox: ['H264'], aiortc: ['VP9', 'AV1'] };

/// Players: given a scope, the address and whether the picture is known, how many pictures were decoded, and their size.
const bare = (open) => async (scope, url, isKnown) => seen(await Viewer.bare(scope, open, url), isKnown);
const PLAYERS = {
  Chromium: bare(chromium),
  Firefox: bare(firefox),
  'Eyevinn webrtc-player 0.13': theirs('eyevinn'),
  'medooze whip-whep 1.2': theirs('medooze'),
  aiortc: watchedByAiortc,
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

async function watchedByAiortc(scope, url, isKnown) {
  const child = await watchAiortc(scope, url);
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
    await publish(scope, server.whip('interop'), {});
    const row = {};
    for (const [player, watch] of Object.entries(PLAYERS)) {
      if (WITHOUT[player]?.includes(codec)) {
        await assert.rejects(new Part(scope).run((part) => watch(part, server.whep('interop'))), /422/);
        row[player] = 'no decoder';
        continue;
      }
      const began = performance.now();
      const { decoded, size } = await new Part(scope).run((part) => watch(part, server.whep('interop'), isKnown));
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
