/**
 * A WHIP publisher (RFC 9725): sends one video and one audio track, which can be exchanged while live.
 *
 *     const publisher = new WhipClient('/whip/my-stream', { token: 'stream key' });
 *     await publisher.setVideo(stream.getVideoTracks()[0]);
 *     await publisher.setAudio(stream.getAudioTracks()[0]);
 *     publisher.addEventListener('state', () => console.log(publisher.state, publisher.error?.message));
 *     publisher.start();
 */
import { Session } from './session.js';
import { StatsReader } from './stats.js';
import { withStartBitrate } from './sluice-sdp.js';

const STATS_INTERVAL_MS = 1000;
/** How long after a close from the server we look whether the server itself is still there, in milliseconds. */
const CLOSE_CHECK_MS = 1000;

/** Where Chromium begins, in bits per second. By itself it begins at 300 kb/s, with a picture of 480x270 or less. */
const START_BITRATE = 1_200_000;

/** The server ended this session on purpose. */
export class ReplacedError extends Error {
  constructor() {
    super('The server ended this broadcast. Someone else may have gone live under the same name.');
    this.name = 'ReplacedError';
  }
}

/**
 * @typedef {import('./session.js').SessionOptions & {codec?: string, maxBitrate?: number}} WhipOptions
 *   `codec`: MIME type such as `video/H264`; the browser's order where empty. `maxBitrate`: of video, bits per second.
 */

/** @returns {string[]} MIME types of the video codecs this browser can send and lets us choose from. */
export function videoCodecs() {
  if (!globalThis.RTCRtpTransceiver?.prototype.setCodecPreferences) return [];
  const codecs = RTCRtpSender.getCapabilities?.('video')?.codecs ?? [];
  const names = new Set(codecs.map((codec) => codec.mimeType.toUpperCase()));
  return ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1'].filter((name) => names.has(name.toUpperCase()));
}

/**
 * Events: `state` (see `Session`), `stats` (new `stats`, once a second while live).
 */
export class WhipClient extends Session {
  #video = null;
  #audio = null;
  /** @type {Record<'video' | 'audio', RTCRtpSender | null>} */
  #senders = { video: null, audio: null };
  #reader = null;
  #interval = null;

  /** @param {string | URL} url @param {WhipOptions} [options] */
  constructor(url, options = {}) {
    super(url, options);
    this.codec = options.codec ?? '';
    this.maxBitrate = options.maxBitrate ?? 0;
    /** @type {import('./stats.js').PublisherStats | null} */
    this.stats = null;
  }

  /** Sends this track from now on; null sends nothing. @param {MediaStreamTrack | null} track */
  async setVideo(track) {
    this.#video = track;
    if (this.pc) await this.#senders.video?.replaceTrack(track);
  }

  /** Sends this track from now on; null sends silence. @param {MediaStreamTrack | null} track */
  async setAudio(track) {
    this.#audio = track;
    if (this.pc) await this.#senders.audio?.replaceTrack(track);
  }

  /** @param {number} bitrate Upper limit of video in bits per second; 0 leaves it to the browser. */
  async setMaxBitrate(bitrate) {
    this.maxBitrate = bitrate;
    const sender = this.#senders.video;
    if (!this.pc || !sender) return;
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings ?? []) {
      if (bitrate) encoding.maxBitrate = bitrate;
      else delete encoding.maxBitrate;
    }
    await sender.setParameters(parameters);
  }

  addMedia(pc) {
    // One MediaStream around both tracks, so that viewers get them in lip-sync. Both m-lines are always there: a
    // microphone or a screen that comes later needs no new negotiation.
    const stream = new MediaStream();
    const video = pc.addTransceiver(this.#video ?? 'video', {
      direction: 'sendonly',
      streams: [stream],
      sendEncodings: [this.maxBitrate ? { maxBitrate: this.maxBitrate } : {}],
    });
    const audio = pc.addTransceiver(this.#audio ?? 'audio', { direction: 'sendonly', streams: [stream] });
    this.#senders = { video: video.sender, audio: audio.sender };
    if (this.codec) preferCodec(video, this.codec);
  }

  shapeAnswer(sdp) {
    const bitrate = Math.min(START_BITRATE, this.maxBitrate || START_BITRATE);
    return withStartBitrate(sdp, Math.round(bitrate / 1000));
  }

  connected() {
    this.#reader = new StatsReader(this.pc);
    this.#interval ??= setInterval(() => this.#sample(), STATS_INTERVAL_MS);
  }

  setState(state, error, retryAt) {
    if (state !== 'live') {
      clearInterval(this.#interval);
      this.#interval = null;
      this.stats = null;
    }
    super.setState(state, error, retryAt);
  }

  /**
   * A second publisher of the name replaces the first. To connect again at once would throw that one out, and so on in
   * turns; so this session ends, unless the server is gone as a whole (a restart), which is worth waiting for.
   */
  closedByServer() {
    const location = this.location;
    this.location = null;
    this.finish('ended', new ReplacedError());
    setTimeout(async () => {
      const gone = await fetch(location ?? this.url).then((response) => response.status >= 502, () => true);
      if (gone && this.state === 'ended') this.start();
    }, CLOSE_CHECK_MS);
  }

  async #sample() {
    const reader = this.#reader;
    const stats = await reader.publisher();
    if (reader !== this.#reader || this.state !== 'live') return;
    this.stats = stats;
    this.dispatchEvent(new Event('stats'));
  }
}

/**
 * Offers this codec alone (with its retransmission format): the server's answer cannot then choose another one.
 *
 * @param {RTCRtpTransceiver} transceiver @param {string} mimeType
 */
function preferCodec(transceiver, mimeType) {
  const wanted = mimeType.toUpperCase();
  const all = RTCRtpSender.getCapabilities('video').codecs;
  const chosen = all.filter((codec) => codec.mimeType.toUpperCase() === wanted);
  const repair = all.filter((codec) => codec.mimeType.toUpperCase() === 'VIDEO/RTX');
  if (chosen.length > 0) transceiver.setCodecPreferences([...chosen, ...repair]);
}
