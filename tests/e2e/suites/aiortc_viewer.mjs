// aiortc as WHEP viewer of what FFmpeg (H.264) and aiortc (VP8) publish, and under each SRTP profile.

import assert from 'node:assert/strict';

import { publishAiortc, publishFfmpeg, watchAiortc } from '../harness/peers.mjs';
import { Server } from '../harness/server.mjs';
import { e2e } from '../harness/test.mjs';
import { until } from '../harness/wait.mjs';

/** Watches until enough was decoded, which must be the picture and the tone that were published. */
async function assertWatches(scope, server, options = {}) {
  const viewer = await watchAiortc(scope, server.whep('studio'), options);
  const seen = await until('50 frames of video and 100 of audio', () => {
    const last = viewer.messages.at(-1).seen;
    return last?.video >= 50 && last.audio >= 100 ? last : null;
  }, 20);
  const [red, blue] = [seen.left, seen.right];
  assert.ok(red[0] > 150 && red[2] < 100, `left is red: ${red}`);
  assert.ok(blue[2] > 150 && blue[0] < 100, `right is blue: ${blue}`);
  assert.ok(seen.loudest > 1000, `the tone is heard: ${seen.loudest}`);
  await viewer.stop('SIGINT');
  assert.deepEqual(viewer.messages.find((message) => 'delete' in message), { delete: 200 });
}

for (const [codec, publish] of [['H.264 from FFmpeg', publishFfmpeg], ['VP8 from aiortc', publishAiortc]]) {
  e2e(`aiortc watches ${codec}`, async (scope) => {
    const server = await Server.start(scope);
    await publish(scope, server.whip('studio'));
    await assertWatches(scope, server);
  });
}

// aiortc decrypts with libsrtp, as Chromium and Firefox do, and can be told to offer one profile only.
e2e('libsrtp decrypts each SRTP profile', async (scope) => {
  const server = await Server.start(scope);
  await publishAiortc(scope, server.whip('studio'));
  for (const srtp of ['SRTP_AEAD_AES_256_GCM', 'SRTP_AEAD_AES_128_GCM', 'SRTP_AES128_CM_SHA1_80']) {
    await assertWatches(scope, server, { srtp });
  }
});
