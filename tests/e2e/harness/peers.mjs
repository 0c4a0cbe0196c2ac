// The Python peers: FFmpeg's WHIP muxer, and aiortc as publisher and viewer.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Child } from './child.mjs';

const PYTHON = process.env.E2E_PYTHON ?? new URL('../../../target/e2e/venv/bin/python', import.meta.url).pathname;
const peer = (name) => new URL(`../peers/${name}`, import.meta.url).pathname;

function python(scope, script, words, namespace) {
  if (!existsSync(PYTHON)) {
    throw new Error(`${PYTHON} is missing: tests/run installs it`);
  }
  const command = [...(namespace ? ['ip', 'netns', 'exec', namespace] : []), PYTHON, '-u', peer(script), ...words.map(String)];
  return new Child(scope, script, command[0], command.slice(1));
}

let certificate;

/// A P-256 certificate for FFmpeg, made once per run.
function ownCertificate() {
  if (!certificate) {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-e2e-certificate-'));
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    certificate = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
    const quiet = { stdio: 'pipe' };
    execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', certificate.key], quiet);
    const request = ['req', '-new', '-x509', '-key', certificate.key, '-subj', '/CN=publisher', '-days', '2'];
    execFileSync('openssl', [...request, '-sha256', '-out', certificate.cert], quiet);
  }
  return certificate;
}

const words = (options) => Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]);

/// FFmpeg publishes H.264 and Opus; resolves when its session is up. Options: left, right, fps, gop, bitrate, snow, first, token; and
/// namespace,
/// where it is not to be the clients'.
export async function publishFfmpeg(scope, url, { namespace, ...options } = {}) {
  const child = python(scope, 'publish_ffmpeg.py', [url, ...words({ ...ownCertificate(), ...options })], namespace);
  await child.message('up');
  return child;
}

/// aiortc publishes VP8 (or H264) and Opus; resolves when connected. Options: left, right, fps, codec, gop, certificate,
/// token.
export async function publishAiortc(scope, url, options = {}) {
  const child = python(scope, 'publish_aiortc.py', [url, ...words(options)]);
  await child.message('up');
  return child;
}

/// Floods a media port from these addresses; resolves when it has begun. Options: ufrag, port, rate, seconds.
export async function flood(scope, server, sources, options) {
  const child = python(scope, 'flood.py', [server, ...words(options), '--sources', ...sources]);
  await child.message('flooding');
  return child;
}

/// aiortc watches; resolves when connected. Its messages count what came.
export async function watchAiortc(scope, url, options = {}) {
  const child = python(scope, 'watch_aiortc.py', [url, ...words(options)]);
  await child.message('up');
  return child;
}
