// @ts-check
/**
 * What is published, across the peer connections that come and go.
 */
import { SluiceError } from './sluice-error.js';

/**
 * @typedef {import('./sluice-local.js').LocalTrack} LocalTrack
 * @typedef {import('./sluice-local.js').LocalSource} LocalSource
 * @typedef {import('./sluice-media.js').Media} Media
 * @typedef {import('./sluice-sender.js').Sender} Sender
 * @typedef {import('./sluice-encodings.js').Simulcast} Simulcast
 * @typedef {import('./protocol.js').TrackIntent} TrackIntent
 */

/**
 * @typedef {object} PublishOptions
 * @property {Simulcast} [simulcast] Of a camera: false for one encoding; a list of up to three of your own, the smallest
 *   first. Where it is missing, what suits the picture.
 */

/**
 * How the server is told.
 *
 * @typedef {object} Wire
 * @property {(tracks: TrackIntent[]) => Promise<unknown>} tracks The full list.
 * @property {(mid: string, muted: boolean) => void} mute
 */

export class Publisher {
  /** @type {Map<LocalSource, LocalTrack>} */
  tracks = new Map();
  /** @type {Media | null} */
  #media = null;
  /** @type {Map<LocalTrack, PublishOptions>} */
  #options = new Map();
  /** What the server was told last. */
  #told = '';
  #wire;

  /** @param {Wire} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  /** @param {LocalTrack} track @param {PublishOptions} [options] */
  async publish(track, options = {}) {
    if (track.stopped) throw new SluiceError('ended');
    const before = this.tracks.get(track.source);
    this.#options.set(track, options);
    if (before === track) {
      await this.#send(track);
      return;
    }
    if (before) this.#drop(before);
    this.tracks.set(track.source, track);
    track.outlet = {
      announce: (muted) => this.#announce(track, muted),
      update: () => this.#send(track),
      closed: () => this.unpublish(track).catch(() => {}),
    };
    await this.#send(track);
    await this.#tell();
  }

  /** @param {LocalTrack} track */
  async unpublish(track) {
    if (this.tracks.get(track.source) !== track) return;
    this.tracks.delete(track.source);
    this.#drop(track);
    const told = this.#tell();
    await this.#media?.senders[track.source].send(null);
    await told;
  }

  /**
   * Sends through this peer connection from now on.
   *
   * @param {Media} media
   * @param {boolean} told Whether the server was told by the join what is published: it heeds that of a new one alone.
   */
  async use(media, told) {
    this.#media = media;
    await Promise.all([...this.tracks.values()].map((track) => this.#send(track)));
    // Something may have changed while the join was on its way.
    if (!told || JSON.stringify(this.#intents(media)) !== this.#told) await this.#tell();
  }

  /** What to join with. @param {Media} media @returns {TrackIntent[]} */
  joinWith(media) {
    const intents = this.#intents(media);
    this.#told = JSON.stringify(intents);
    return intents;
  }

  /** What is published, by the sections of a peer connection. @param {Media} media @returns {TrackIntent[]} */
  #intents(media) {
    return [...this.tracks.values()].map(({ source, label, muted }) => {
      const { mid } = media.senders[source];
      return label === undefined ? { mid, source, muted } : { mid, source, label, muted };
    });
  }

  /** What others want to see, and which encodings of it; all where there is no `rids`. @param {{mid: string, wanted: boolean, rids?: string[]}[]} list */
  wanted(list) {
    const senders = Object.values(this.#media?.senders ?? {});
    for (const { mid, wanted, rids } of list) senders.find((sender) => sender.mid === mid)?.want(wanted, rids);
  }

  /** Lets go of the peer connection. */
  release() {
    this.#media = null;
  }

  /** Lets go of everything, and closes what was opened by this module. */
  clear() {
    for (const track of this.tracks.values()) {
      this.#drop(track);
      if (track.owned) track.stop();
    }
    this.tracks.clear();
    this.#media = null;
  }

  /** @param {LocalTrack} track */
  #drop(track) {
    track.outlet = null;
    this.#options.delete(track);
  }

  /** @param {LocalTrack} track */
  async #send(track) {
    await this.#sender(track)?.send(track.sending, this.#options.get(track)?.simulcast);
  }

  /** @param {LocalTrack} track @returns {Sender | null} The one that it goes through now. */
  #sender(track) {
    return (this.tracks.get(track.source) === track && this.#media?.senders[track.source]) || null;
  }

  /** @param {LocalTrack} track @param {boolean} muted */
  #announce(track, muted) {
    const sender = this.#sender(track);
    if (sender) this.#wire.mute(sender.mid, muted);
  }

  async #tell() {
    if (!this.#media) return;
    const intents = this.#intents(this.#media);
    this.#told = JSON.stringify(intents);
    try {
      await this.#wire.tracks(intents);
    } catch (error) {
      // While there is no connection, the join that brings it back tells the same.
      if (!(error instanceof SluiceError && ['not_joined', 'unreachable'].includes(error.code))) throw error;
    }
  }
}
