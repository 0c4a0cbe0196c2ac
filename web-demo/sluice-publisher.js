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
 * @typedef {import('./protocol.js').TrackIntent} TrackIntent
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
  /** What the server was told last. */
  #told = '';
  #wire;

  /** @param {Wire} wire */
  constructor(wire) {
    this.#wire = wire;
  }

  /** @param {LocalTrack} track */
  async publish(track) {
    if (track.stopped) throw new SluiceError('ended');
    const before = this.tracks.get(track.source);
    if (before === track) return;
    if (before) before.outlet = null;
    this.tracks.set(track.source, track);
    track.outlet = {
      announce: (muted) => this.#announce(track, muted),
      update: async () => this.#sender(track)?.send(track.sending),
      closed: () => this.unpublish(track).catch(() => {}),
    };
    await this.#sender(track)?.send(track.sending);
    await this.#tell();
  }

  /** @param {LocalTrack} track */
  async unpublish(track) {
    if (this.tracks.get(track.source) !== track) return;
    this.tracks.delete(track.source);
    track.outlet = null;
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
    await Promise.all([...this.tracks.values()].map((track) => this.#sender(track)?.send(track.sending)));
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

  /** What others want to see. @param {{mid: string, wanted: boolean}[]} list */
  wanted(list) {
    const senders = Object.values(this.#media?.senders ?? {});
    for (const { mid, wanted } of list) senders.find((sender) => sender.mid === mid)?.want(wanted);
  }

  /** Lets go of the peer connection. */
  release() {
    this.#media = null;
  }

  /** Lets go of everything, and closes what was opened by this module. */
  clear() {
    for (const track of this.tracks.values()) {
      track.outlet = null;
      if (track.owned) track.stop();
    }
    this.tracks.clear();
    this.#media = null;
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
