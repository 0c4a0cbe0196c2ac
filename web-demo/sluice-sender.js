// @ts-check
/**
 * One section to publish in. What it shall send is set; how to get there is worked out step by step, so that fast
 * changes of mind end in the right state.
 */
import { Serial } from './sluice-error.js';
import { wishedEncodings } from './sluice-encodings.js';

/** @typedef {import('./sluice-encodings.js').Simulcast} Simulcast */

export class Sender {
  /** The section, known from the first offer on. */
  mid = '';
  /** @type {RTCRtpTransceiver} */
  transceiver;
  #serial = new Serial();
  /** @type {MediaStreamTrack | null} */
  #track = null;
  /** @type {Simulcast | undefined} */
  #simulcast = undefined;
  #wanted = true;
  /** @type {string[] | null} The encodings that anybody uses; null for all. */
  #rids = null;
  #negotiated = false;

  /** @param {RTCRtpTransceiver} transceiver */
  constructor(transceiver) {
    this.transceiver = transceiver;
  }

  /**
   * Sends this from now on; null sends nothing.
   *
   * @param {MediaStreamTrack | null} track @param {Simulcast} [simulcast] How many encodings of it.
   */
  send(track, simulcast) {
    this.#track = track;
    this.#simulcast = simulcast;
    return this.#settle();
  }

  /**
   * Whether anybody watches, and which encodings. What nobody watches is not encoded.
   *
   * @param {boolean} wanted @param {string[]} [rids] All of them where it is missing.
   */
  want(wanted, rids) {
    this.#wanted = wanted;
    this.#rids = rids ?? null;
    return this.#settle();
  }

  /** Parameters can be set from now on. */
  negotiated() {
    this.#negotiated = true;
    return this.#settle();
  }

  /** Each step reads what is wanted at its own time, so those that were overtaken find nothing to do. */
  #settle() {
    return this.#serial.run(async () => {
      const { sender } = this.transceiver;
      const active = this.#track !== null && this.#wanted;
      // Before there is a new picture it is set as what it is sent, so that none of it goes out otherwise.
      if (!active || sender.track !== this.#track) await this.#set(active);
      if (this.#track && sender.track !== this.#track) await sender.replaceTrack(this.#track);
      if (!this.#track && sender.track?.readyState === 'ended') await sender.replaceTrack(null);
      if (this.#track !== null && this.#wanted) await this.#set(true);
    });
  }

  /** @param {boolean} active */
  async #set(active) {
    if (!this.#negotiated) return;
    const { sender } = this.transceiver;
    const parameters = sender.getParameters();
    const wish = { height: heightOf(this.#track), simulcast: this.#simulcast, active, rids: this.#rids };
    const { encodings, changed } = wishedEncodings(parameters.encodings ?? [], wish);
    if (!changed) return;
    try {
      await sender.setParameters({ ...parameters, encodings });
    } catch {
      // A browser that cannot pause an encoding sends nothing of a track that is not there.
      if (!active) await sender.replaceTrack(null);
    }
  }
}

/** The shorter side: an upright picture has as many pixels. @param {MediaStreamTrack | null} track */
function heightOf(track) {
  const { width = 0, height = 0 } = track?.getSettings?.() ?? {};
  return Math.min(width, height);
}
