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
 * @property {number[]} sizes Heights of all encodings that are sent, the smallest first; empty for what is received.
 * @property {number} freezes How often the picture stood still, since its slot began.
 */

/**
 * Figures of the whole connection.
 *
 * @typedef {object} ConnectionStats
 * @property {number} received Bits per second. @property {number} sent Bits per second.
 * @property {number | null} uplink How much the browser believes it can send, in bits per second; null where it does not tell.
 * @property {number} loss Share of the packets to here that got lost, 0 to 1. @property {number | null} rtt In milliseconds.
 * @property {Map<string, number>} heights Of received pictures in pixels, by the id of the receiver's `track`.
 */

export class ConnectionStatsReader {
  /** @type {{at: number, bytesIn: number, bytesOut: number, packets: number, lost: number} | null} */
  #last = null;

  /** @param {RTCPeerConnection} pc @returns {Promise<ConnectionStats>} Rates are over the time since the last reading. */
  async read(pc) {
    const all = [...(await pc.getStats()).values()];
    const inbound = all.filter(({ type }) => type === 'inbound-rtp');
    const outbound = all.filter(({ type }) => type === 'outbound-rtp');
    /** @param {Record<string, any>[]} list @param {string} figure */
    const sum = (list, figure) => list.reduce((total, one) => total + Math.max(0, one[figure] ?? 0), 0);
    const pair = all.find(({ type, nominated, state }) => type === 'candidate-pair' && nominated && state === 'succeeded');
    const now = {
      at: performance.now(),
      bytesIn: sum(inbound, 'bytesReceived'),
      bytesOut: sum(outbound, 'bytesSent'),
      packets: sum(inbound, 'packetsReceived'),
      lost: sum(inbound, 'packetsLost'),
    };
    const last = this.#last ?? now;
    this.#last = now;
    const seconds = (now.at - last.at) / 1000;
    /** @param {number} bytes */
    const rate = (bytes) => (seconds > 0 ? Math.max(0, (bytes * 8) / seconds) : 0);
    const lost = Math.max(0, now.lost - last.lost);
    const due = lost + Math.max(0, now.packets - last.packets);
    return {
      received: rate(now.bytesIn - last.bytesIn),
      sent: rate(now.bytesOut - last.bytesOut),
      uplink: pair?.availableOutgoingBitrate ?? null,
      loss: due > 0 ? lost / due : 0,
      rtt: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
      heights: new Map(inbound.filter(({ kind }) => kind === 'video').map((one) => [one.trackIdentifier, one.frameHeight ?? 0])),
    };
  }
}

/** Rates are over the time since the last reading of the same sender or receiver. */
export class TrackStatsReader {
  /** @type {WeakMap<object, StatsReader>} */
  #readers = new WeakMap();

  /** @param {RTCRtpSender} sender @returns {Promise<TrackStats>} */
  async sent(sender) {
    const { width, height, fps, bitrate, codec, lost, rttMs, sizes } = await this.#reader(sender).publisher();
    return { width, height, fps, bitrate, codec, loss: lost, rtt: rttMs, jitterBuffer: null, sizes, freezes: 0 };
  }

  /** @param {RTCRtpReceiver} receiver @returns {Promise<TrackStats>} */
  async received(receiver) {
    const stats = await this.#reader(receiver).viewer();
    const { width, height, fps, bitrate, lost, rttMs, bufferMs, freezes } = stats;
    const codec = stats.codec || stats.audioCodec;
    return { width, height, fps, bitrate, codec, loss: lost, rtt: rttMs, jitterBuffer: bufferMs, sizes: [], freezes };
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
