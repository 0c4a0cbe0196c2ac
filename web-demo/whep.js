/**
 * A WHEP viewer (draft-ietf-wish-whep): plays one stream and keeps playing it.
 *
 *     const player = new WhepClient('/whep/my-stream');
 *     player.addEventListener('stream', () => { video.srcObject = player.stream; });
 *     player.addEventListener('state', () => console.log(player.state, player.error?.message));
 *     player.start();
 */
import { ProblemError, Session } from './session.js';
import { askForLayers } from './sluice-sdp.js';
import { StatsReader } from './stats.js';

/**
 * Target of the jitter buffer, in milliseconds. One frame at 25 fps: enough for the jitter of a good network, and the
 * browser goes above it by itself on a bad one.
 */
const JITTER_BUFFER_TARGET_MS = 40;
/** Figures are read this often, in milliseconds. */
const STATS_INTERVAL_MS = 1000;
/** Without media for so many intervals, the stream counts as stalled. */
const STALLED_AFTER = 3;

/**
 * @typedef {import('./session.js').SessionOptions & {jitterBufferTarget?: number | null}} WhepOptions
 *   `jitterBufferTarget` in milliseconds, 0 to 4000; null leaves the choice to the browser.
 */

/**
 * Events: `state` (see `Session`), `stream` (a new `stream` to show), `stats` (new `stats`, once a second while live),
 * `stalled` (read `stalled`: connected, but no media arrives, as when a publisher restarts).
 */
export class WhepClient extends Session {
  #reader = null;
  #interval = null;
  #silent = 0;

  /** @param {string | URL} url @param {WhepOptions} [options] */
  constructor(url, options = {}) {
    super(url, options);
    this.jitterBufferTarget = options.jitterBufferTarget === undefined ? JITTER_BUFFER_TARGET_MS : options.jitterBufferTarget;
    /** @type {MediaStream | null} Both tracks of the stream; a new object after each reconnection. */
    this.stream = null;
    /** @type {import('./stats.js').ViewerStats | null} */
    this.stats = null;
    this.stalled = false;
  }

  addMedia(pc) {
    const stream = new MediaStream();
    for (const kind of ['video', 'audio']) {
      const transceiver = pc.addTransceiver(kind, { direction: 'recvonly' });
      if (kind === 'video') askForLayers(transceiver);
      const { receiver } = transceiver;
      if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = this.jitterBufferTarget;
    }
    pc.addEventListener('track', ({ track }) => {
      stream.addTrack(track);
      if (this.stream === stream) return;
      this.stream = stream;
      this.dispatchEvent(new Event('stream'));
    });
  }

  /** Browsers decode Opus to mono unless the receiver asks for stereo (RFC 7587 section 6.1). */
  shapeOffer(sdp) {
    const opus = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1];
    if (!opus) return sdp;
    return sdp.replace(new RegExp(`^(a=fmtp:${opus} (?!.*\\bstereo=)[^\\r\\n]*)`, 'm'), '$1;stereo=1');
  }

  judge(error) {
    // 409: the endpoint is right and nobody publishes at the moment.
    if (error instanceof ProblemError && error.status === 409) return 'wait';
    return super.judge(error);
  }

  connected() {
    this.#silent = 0;
    this.#reader = new StatsReader(this.pc);
    this.#interval ??= setInterval(() => this.#sample(), STATS_INTERVAL_MS);
  }

  setState(state, error, retryAt) {
    if (state !== 'live') {
      clearInterval(this.#interval);
      this.#interval = null;
      this.stats = null;
      this.stalled = false;
    }
    super.setState(state, error, retryAt);
  }

  async #sample() {
    const reader = this.#reader;
    const stats = await reader.viewer();
    if (reader !== this.#reader || this.state !== 'live') return;
    this.stats = stats;
    this.dispatchEvent(new Event('stats'));
    this.#silent = stats.bitrate > 0 ? 0 : this.#silent + 1;
    const stalled = this.#silent >= STALLED_AFTER;
    if (stalled === this.stalled) return;
    this.stalled = stalled;
    this.dispatchEvent(new Event('stalled'));
  }
}
