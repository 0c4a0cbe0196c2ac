// @ts-check
/**
 * Figures of one track.
 */
import { StatsReader } from './stats.js';

/**
 * @typedef {object} TrackStats
 * @property {number} width Pixels. @property {number} height Pixels. @property {number} fps Frames per second.
 * @property {number} bitrate Bits per second. @property {string} codec Such as "VP8"; empty while unknown.
 * @property {number | null} loss Share of packets lost, 0 to 1; null while unknown.
 * @property {number | null} rtt Round trip to the server, in milliseconds.
 * @property {number | null} jitterBuffer Mean time in the jitter buffer, in milliseconds; null for what is sent.
 * @property {number} freezes How often the picture stood still, since its slot began.
 */

/** Rates are over the time since the last reading of the same sender or receiver. */
export class TrackStatsReader {
  /** @type {WeakMap<object, StatsReader>} */
  #readers = new WeakMap();

  /** @param {RTCRtpSender} sender @returns {Promise<TrackStats>} */
  async sent(sender) {
    const { width, height, fps, bitrate, codec, lost, rttMs } = await this.#reader(sender).publisher();
    return { width, height, fps, bitrate, codec, loss: lost, rtt: rttMs, jitterBuffer: null, freezes: 0 };
  }

  /** @param {RTCRtpReceiver} receiver @returns {Promise<TrackStats>} */
  async received(receiver) {
    const stats = await this.#reader(receiver).viewer();
    const { width, height, fps, bitrate, lost, rttMs, bufferMs, freezes } = stats;
    const codec = stats.codec || stats.audioCodec;
    return { width, height, fps, bitrate, codec, loss: lost, rtt: rttMs, jitterBuffer: bufferMs, freezes };
  }

  /** A sender and a receiver answer `getStats()` as a peer connection does, with their own part. @param {RTCRtpSender | RTCRtpReceiver} source */
  #reader(source) {
    let reader = this.#readers.get(source);
    if (!reader) {
      reader = new StatsReader(/** @type {any} */ (source));
      this.#readers.set(source, reader);
    }
    return reader;
  }
}
