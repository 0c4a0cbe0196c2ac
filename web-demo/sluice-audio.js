// @ts-check
/**
 * Plays the sound of a room: one hidden element for each audio slot, whoever speaks in it.
 */
import { SluiceError } from './sluice-error.js';

/** @typedef {import('./sluice-media.js').MediaSlot} MediaSlot */

/** What is heard. `muted` silences everybody on this side alone. */
export class RoomAudio {
  /** @type {Map<MediaStreamTrack, HTMLAudioElement>} */
  #elements = new Map();
  #muted = false;
  #volume = 1;
  #output = '';
  #blocked = false;
  #tell;

  /** @param {(blocked: boolean) => void} tell Called when the browser begins or ceases to keep the sound back. */
  constructor(tell) {
    this.#tell = tell;
  }

  /** Whether nothing is heard here. */
  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    for (const element of this.#elements.values()) element.muted = muted;
  }

  /** How loud: 0 to 1. */
  get volume() {
    return this.#volume;
  }

  set volume(volume) {
    this.#volume = Math.min(1, Math.max(0, volume));
    for (const element of this.#elements.values()) element.volume = this.#volume;
  }

  /** Whether the browser keeps the sound back until somebody touches the page: call `room.startAudio()` then. */
  get blocked() {
    return this.#blocked;
  }

  /** Id of the device that plays; empty for the system's choice. */
  get output() {
    return this.#output;
  }

  /**
   * Plays on another device.
   *
   * @param {string} deviceId Of a device of kind `audiooutput`; empty for the system's choice.
   * @throws {SluiceError} `unsupported` or `missing`.
   */
  async setOutput(deviceId) {
    if (!('setSinkId' in HTMLMediaElement.prototype)) {
      throw new SluiceError('unsupported', 'This browser plays where the system says. Choose the device there.');
    }
    try {
      await Promise.all([...this.#elements.values()].map((element) => element.setSinkId(deviceId)));
    } catch {
      throw new SluiceError('missing', 'That loudspeaker cannot be used. Choose another one.');
    }
    this.#output = deviceId;
  }

  /** @internal The slots that there are from now on. @param {MediaSlot[]} slots */
  use(slots) {
    const tracks = slots.filter(({ kind }) => kind === 'audio').map(({ receiver }) => receiver.track);
    for (const [track, element] of this.#elements) if (!tracks.includes(track)) this.#remove(track, element);
    for (const track of tracks) if (!this.#elements.has(track)) this.#add(track);
  }

  /** @internal Plays after somebody touched the page. */
  async start() {
    await Promise.all([...this.#elements.values()].map((element) => this.#play(element)));
  }

  /** @internal */
  clear() {
    for (const [track, element] of this.#elements) this.#remove(track, element);
    this.#blocked = false;
  }

  /** @param {MediaStreamTrack} track */
  #add(track) {
    const element = new Audio();
    element.srcObject = new MediaStream([track]);
    element.muted = this.#muted;
    element.volume = this.#volume;
    this.#elements.set(track, element);
    if (this.#output) element.setSinkId?.(this.#output).catch(() => {});
    this.#play(element);
  }

  /** @param {MediaStreamTrack} track @param {HTMLAudioElement} element */
  #remove(track, element) {
    this.#elements.delete(track);
    element.pause();
    element.srcObject = null;
  }

  /** @param {HTMLAudioElement} element */
  async #play(element) {
    try {
      await element.play();
      this.#setBlocked(false);
    } catch (error) {
      // Anything else than a refusal is an element that was taken away meanwhile.
      if (error instanceof Error && error.name === 'NotAllowedError') this.#setBlocked(true);
    }
  }

  /** @param {boolean} blocked */
  #setBlocked(blocked) {
    if (this.#blocked === blocked) return;
    this.#blocked = blocked;
    this.#tell(blocked);
  }
}
