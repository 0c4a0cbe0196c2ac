// @ts-check
/**
 * One section to publish in. What it shall send is set; how to get there is worked out step by step, so that fast
 * changes of mind end in the right state.
 */
import { Serial } from './sluice-error.js';

export class Sender {
  /** The section, known from the first offer on. */
  mid = '';
  /** @type {RTCRtpTransceiver} */
  transceiver;
  #serial = new Serial();
  /** @type {MediaStreamTrack | null} */
  #track = null;
  #wanted = true;
  #negotiated = false;

  /** @param {RTCRtpTransceiver} transceiver */
  constructor(transceiver) {
    this.transceiver = transceiver;
  }

  /** Sends this from now on; null sends nothing. @param {MediaStreamTrack | null} track */
  send(track) {
    this.#track = track;
    return this.#settle();
  }

  /** Whether anybody watches. What nobody watches is not encoded. @param {boolean} wanted */
  want(wanted) {
    this.#wanted = wanted;
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
      if (!active) await this.#activate(false);
      if (this.#track && sender.track !== this.#track) await sender.replaceTrack(this.#track);
      if (!this.#track && sender.track?.readyState === 'ended') await sender.replaceTrack(null);
      if (this.#track !== null && this.#wanted) await this.#activate(true);
    });
  }

  /** @param {boolean} active */
  async #activate(active) {
    if (!this.#negotiated) return;
    const { sender } = this.transceiver;
    const parameters = sender.getParameters();
    const encodings = parameters.encodings ?? [];
    if (encodings.length === 0 || encodings.every((encoding) => (encoding.active ?? true) === active)) return;
    for (const encoding of encodings) encoding.active = active;
    try {
      await sender.setParameters(parameters);
    } catch {
      // A browser that cannot pause an encoding sends nothing of a track that is not there.
      if (!active) await sender.replaceTrack(null);
    }
  }
}
