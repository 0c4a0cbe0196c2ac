// @ts-check
/**
 * What this side publishes: a microphone, a camera, a screen.
 */
import { cameraWish, microphoneWish, openDevice, openScreen } from './sluice-devices.js';
import { Serial, SluiceError, asSluiceError, emit } from './sluice-error.js';

/** @typedef {'mic' | 'camera' | 'screen' | 'screen_audio'} LocalSource */

/**
 * Where a published track goes. It is told what to send, not how.
 *
 * @typedef {object} Outlet
 * @property {(muted: boolean) => void} announce Says so to the others.
 * @property {() => Promise<void>} update Brings the sender in line with the track.
 * @property {() => void} closed The track is over.
 */

/**
 * A microphone, a camera, a screen or its sound. It can be made, muted and stopped without a room.
 *
 * Events: `mute` (read `muted`), `replaced` (read `mediaStreamTrack`: null while a muted camera is off), `ended` (the
 * device went away or the share was stopped by the browser's own button).
 */
export class LocalTrack extends EventTarget {
  /** @type {MediaStreamTrack | null} What is captured. A muted camera is off, and this is null. */
  mediaStreamTrack = null;
  /** @internal @type {Outlet | null} */
  outlet = null;
  #serial = new Serial();
  #muted = false;
  #stopped = false;
  /** @type {MediaTrackConstraints | null} What opens the device again; null where the track was brought from elsewhere. */
  #wish = null;
  /** @internal Whether it was opened here, and so is to be closed here. */
  owned = false;
  /** @type {() => void} */
  #onEnded = () => this.#lost();

  /**
   * @param {MediaStreamTrack} mediaStreamTrack @param {LocalSource} source
   * @param {{label?: string}} [options] `label`: what others see it called; the device's own name is not told.
   */
  constructor(mediaStreamTrack, source, options = {}) {
    super();
    /** @readonly */
    this.source = source;
    /** @readonly @type {'audio' | 'video'} */
    this.kind = source === 'mic' || source === 'screen_audio' ? 'audio' : 'video';
    /** @readonly @type {string | undefined} */
    this.label = options.label;
    this.#take(mediaStreamTrack);
  }

  /**
   * Opens a microphone.
   *
   * @param {MediaTrackConstraints} [constraints] Such as `{deviceId: {exact: id}}`.
   * @throws {SluiceError}
   */
  static async microphone(constraints) {
    return LocalTrack.#opened('mic', microphoneWish(constraints));
  }

  /**
   * Opens a camera: 720p at 30 frames per second where it can.
   *
   * @param {MediaTrackConstraints} [constraints]
   * @throws {SluiceError}
   */
  static async camera(constraints) {
    return LocalTrack.#opened('camera', cameraWish(constraints));
  }

  /**
   * Lets the person choose a screen, a window or a tab.
   *
   * @param {{audio?: boolean} & DisplayMediaStreamOptions} [options]
   * @returns {Promise<LocalTrack[]>} The picture, and the sound where there is one.
   * @throws {SluiceError} `canceled` where the person changed their mind.
   */
  static async screen(options = {}) {
    const [picture, sound] = await openScreen(options);
    const tracks = [new LocalTrack(picture, 'screen')];
    if (sound) tracks.push(new LocalTrack(sound, 'screen_audio'));
    for (const track of tracks) track.owned = true;
    return tracks;
  }

  /** @param {'mic' | 'camera'} source @param {MediaTrackConstraints} wish */
  static async #opened(source, wish) {
    const local = new LocalTrack(await openDevice(source, wish), source);
    local.#wish = wish;
    local.owned = true;
    return local;
  }

  /** Whether it is muted, or is about to be: what was asked for last. */
  get muted() {
    return this.#muted;
  }

  /** Whether `stop()` was called, or the share was stopped. */
  get stopped() {
    return this.#stopped;
  }

  /** @internal What the sender shall send: null sends nothing. */
  get sending() {
    return this.#muted ? null : this.mediaStreamTrack;
  }

  /** Sends nothing from now on. A camera that was opened here is switched off. */
  async mute() {
    if (this.#muted) return;
    this.#setMuted(true);
    // The sound is off at once, whatever is still under way.
    if (this.mediaStreamTrack) this.mediaStreamTrack.enabled = false;
    await this.#serial.run(() => this.#settle());
  }

  /** Sends again. @throws {SluiceError} The camera cannot be opened again: the track stays muted. */
  async unmute() {
    if (!this.#muted) return;
    if (this.#stopped) throw new SluiceError('ended');
    this.#setMuted(false);
    await this.#serial.run(() => this.#settle());
  }

  /**
   * Captures from another device, or sends another track, without the others noticing more than the new picture.
   *
   * @param {MediaStreamTrack | MediaTrackConstraints} what A track, or what a device must be like.
   * @throws {SluiceError} The device cannot be opened: what was there before goes on, unless the browser stopped it.
   */
  async replace(what) {
    if (this.#stopped) throw new SluiceError('ended');
    await this.#serial.run(() => this.#replace(what));
  }

  /** Ends the capture for good. A track that is published is no longer, then. */
  stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#drop();
    this.outlet?.closed();
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#muted = muted;
    this.outlet?.announce(muted);
    emit(this, 'mute', { muted });
  }

  /** Brings device and sender in line with what was asked for last; steps that were overtaken find nothing to do. */
  async #settle() {
    if (this.#stopped) return;
    const track = this.mediaStreamTrack;
    if (this.#muted) {
      if (track && this.#wish && this.source === 'camera') {
        this.#drop();
        emit(this, 'replaced', { mediaStreamTrack: null });
      }
    } else if (track) {
      track.enabled = true;
    } else {
      await this.#reopen();
    }
    await this.outlet?.update();
  }

  async #reopen() {
    try {
      if (!this.#wish) throw new SluiceError('ended');
      const track = await this.#openAny(this.#wish);
      if (this.#stopped) track.stop();
      else this.#swap(track);
    } catch (error) {
      if (!this.#muted) this.#setMuted(true);
      throw asSluiceError(error);
    }
  }

  /** The device that was used last; where it is gone, any. @param {MediaTrackConstraints} wish */
  async #openAny(wish) {
    const source = /** @type {'mic' | 'camera'} */ (this.source);
    try {
      return await openDevice(source, wish);
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === 'missing' && wish.deviceId)) throw error;
      return openDevice(source, { ...wish, deviceId: undefined });
    }
  }

  /** @param {MediaStreamTrack | MediaTrackConstraints} what */
  async #replace(what) {
    if (this.#stopped) throw new SluiceError('ended');
    if (globalThis.MediaStreamTrack && what instanceof MediaStreamTrack) {
      this.#wish = null;
      this.#swap(what);
    } else {
      if (this.source !== 'mic' && this.source !== 'camera') throw new SluiceError('unsupported');
      const constraints = /** @type {MediaTrackConstraints} */ (what);
      await this.#switchDevice(this.source, constraints);
    }
    await this.outlet?.update();
  }

  /** @param {'mic' | 'camera'} source @param {MediaTrackConstraints} constraints */
  async #switchDevice(source, constraints) {
    const wish = source === 'mic' ? microphoneWish(constraints) : cameraWish(constraints);
    // A camera that is off is not switched on for the choice of another one.
    if (this.#muted && source === 'camera' && !this.mediaStreamTrack) {
      this.#wish = wish;
      return;
    }
    const track = await openDevice(source, wish);
    this.#wish = wish;
    if (this.#stopped) track.stop();
    else this.#swap(track);
  }

  /** @param {MediaStreamTrack} track */
  #swap(track) {
    this.#drop();
    this.#take(track);
    emit(this, 'replaced', { mediaStreamTrack: track });
  }

  /** @param {MediaStreamTrack} track */
  #take(track) {
    track.enabled = !this.#muted;
    track.addEventListener('ended', this.#onEnded);
    this.mediaStreamTrack = track;
  }

  /** Closes what is captured. Its `ended` does not fire for that. */
  #drop() {
    this.mediaStreamTrack?.removeEventListener('ended', this.#onEnded);
    this.mediaStreamTrack?.stop();
    this.mediaStreamTrack = null;
  }

  /** The device went away. A microphone or camera becomes muted, and can be unmuted when there is one again. */
  #lost() {
    this.#drop();
    emit(this, 'replaced', { mediaStreamTrack: null });
    if (this.#wish) {
      if (!this.#muted) this.#setMuted(true);
      this.#serial.run(() => this.outlet?.update());
    } else {
      this.#stopped = true;
      this.outlet?.closed();
    }
    emit(this, 'ended', { stopped: this.#stopped });
  }
}
