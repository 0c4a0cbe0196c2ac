/** The own camera, microphone and loudspeaker: from the lobby into the call. */
import { canCapture, explain } from './capture.js';
import { LocalTrack } from './sluice.js';
import { remember } from './ui.js';

const KEYS = { audioinput: 'sluice.microphone', videoinput: 'sluice.camera', audiooutput: 'sluice.loudspeaker' };
const WORDS = { mic: 'microphone', camera: 'camera' };

/** @param {string} deviceId As remembered: it may be gone, so it is a wish. */
const micWish = (deviceId) => ({
  deviceId: deviceId ? { ideal: deviceId } : undefined, echoCancellation: true, noiseSuppression: true, autoGainControl: true,
});
const cameraWish = (deviceId) => ({
  deviceId: deviceId ? { ideal: deviceId } : undefined,
  width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 },
});

/** @param {string} name @returns {Promise<string>} 'granted', 'denied', 'prompt'; '' where the browser does not tell. */
async function permission(name) {
  try {
    return (await navigator.permissions.query({ name })).state;
  } catch {
    return '';
  }
}

/**
 * Fires `change` when anything changes, `track` (detail: a LocalTrack) when there is one more to publish, `lost` (detail:
 * `{what, name, now}`) when a device was unplugged, `trouble` (detail: text) when a device could not be used.
 */
export class Devices extends EventTarget {
  /** @type {LocalTrack | null} */
  mic = null;
  /** @type {LocalTrack | null} */
  camera = null;
  /** @type {'unknown' | 'insecure' | 'none' | 'ask' | 'blocked' | 'given'} What stands between this page and devices. */
  access = 'unknown';
  /** Whether the person wants to be heard and seen. */
  micOn = remember.get('localStorage', 'sluice.mic-on') !== 'no';
  cameraOn = remember.get('localStorage', 'sluice.camera-on') !== 'no';
  /** What went wrong, in words for people. */
  problem = '';
  /** @type {MediaDeviceInfo[]} */
  list = [];
  busy = false;

  /** Opens what may be opened without a question. */
  async begin() {
    if (!canCapture) {
      this.#become(globalThis.isSecureContext ? 'none' : 'insecure');
      return;
    }
    navigator.mediaDevices.addEventListener('devicechange', () => this.#listAgain());
    await this.#listAgain();
    const [camera, mic] = await Promise.all([permission('camera'), permission('microphone')]);
    if (!this.list.some(({ kind }) => kind === 'videoinput' || kind === 'audioinput')) this.#become('none');
    else if (camera === 'denied' && mic === 'denied') this.#become('blocked');
    else if ((camera === 'granted' || camera === 'denied') && (mic === 'granted' || mic === 'denied')) await this.open();
    else this.#become('ask');
  }

  /** Asks for both at once, so that the browser asks the person once. */
  async open() {
    if (this.busy) return;
    this.busy = true;
    this.problem = '';
    const audio = micWish(this.chosen('audioinput'));
    const video = cameraWish(this.chosen('videoinput'));
    try {
      const stream = await navigator.mediaDevices.getUserMedia(this.cameraOn || this.access === 'ask' ? { audio, video } : { audio });
      await this.#take(stream);
    } catch (error) {
      await this.#openApart(audio, video, error);
    }
    this.busy = false;
    await this.#listAgain();
    this.#become(this.access);
  }

  /** One of the two is missing, broken or forbidden: take the other. */
  async #openApart(audio, video, first) {
    let refused = first;
    for (const wish of [{ audio }, { video }]) {
      try {
        await this.#take(await navigator.mediaDevices.getUserMedia(wish));
      } catch (error) {
        refused = error;
        if (wish.audio) this.micOn = false;
        else this.cameraOn = false;
      }
    }
    if (this.mic || this.camera) {
      this.problem = this.mic && !this.camera && refused.name === 'NotFoundError' ? '' : explain(refused, this.mic ? 'camera' : 'microphone');
      this.access = 'given';
    } else if (refused.name === 'NotAllowedError') {
      this.access = 'blocked';
    } else {
      this.access = refused.name === 'NotFoundError' ? 'none' : 'ask';
      this.problem = explain(refused, 'camera and microphone');
    }
  }

  /** @param {MediaStream} stream */
  async #take(stream) {
    this.access = 'given';
    const [audio] = stream.getAudioTracks();
    const [video] = stream.getVideoTracks();
    if (audio) await this.#own('mic', audio, this.micOn);
    if (video) await this.#own('camera', video, this.cameraOn);
  }

  /** @param {'mic' | 'camera'} what @param {MediaStreamTrack} track @param {boolean} on */
  async #own(what, track, on) {
    const local = new LocalTrack(track, what, { label: track.label });
    this[what] = local;
    for (const type of ['mute', 'unmute', 'replaced']) local.addEventListener(type, () => this.#changed());
    local.addEventListener('ended', () => this.#lost(what));
    if (!on) await local.mute();
    this.dispatchEvent(new CustomEvent('track', { detail: local }));
    this.#changed();
  }

  /** @param {'mic' | 'camera'} what @param {boolean} on */
  async set(what, on) {
    const flag = what === 'mic' ? 'micOn' : 'cameraOn';
    this[flag] = on;
    remember.set('localStorage', what === 'mic' ? 'sluice.mic-on' : 'sluice.camera-on', on ? 'yes' : 'no');
    this.#changed();
    try {
      if (!this[what]) {
        if (on) await this.#start(what);
      } else if (on) {
        await this[what].unmute();
      } else {
        await this[what].mute();
      }
    } catch (error) {
      this[flag] = false;
      this.#complain(explain(error, WORDS[what]));
    }
    this.#changed();
  }

  async #start(what) {
    if (!canCapture) throw new DOMException('', 'NotFoundError');
    const wish = what === 'mic' ? { audio: micWish(this.chosen('audioinput')) } : { video: cameraWish(this.chosen('videoinput')) };
    const stream = await navigator.mediaDevices.getUserMedia(wish);
    await this.#take(stream);
    await this.#listAgain();
  }

  /** @param {'audioinput' | 'videoinput' | 'audiooutput'} kind @param {string} deviceId */
  async choose(kind, deviceId) {
    remember.set('localStorage', KEYS[kind], deviceId);
    if (kind === 'audiooutput') {
      this.#changed();
      return;
    }
    const what = kind === 'audioinput' ? 'mic' : 'camera';
    const wish = { ...(what === 'mic' ? micWish() : cameraWish()), deviceId: { exact: deviceId } };
    try {
      // A camera that is off stays dark; it is opened as chosen when it is turned on.
      if (this[what] && !(what === 'camera' && this[what].muted)) await this[what].replace(wish);
      else if (this[what]) await this.set(what, true);
      else await this.#start(what);
    } catch (error) {
      this.#complain(explain(error, WORDS[what]));
    }
    this.#changed();
  }

  /** What was chosen last, here or in an earlier call. */
  chosen(kind) {
    return remember.get('localStorage', KEYS[kind]) ?? '';
  }

  /** The device in use. */
  current(kind) {
    if (kind === 'audiooutput') {
      const id = this.chosen(kind);
      return this.ofKind(kind).some((device) => device.deviceId === id) ? id : 'default';
    }
    const track = kind === 'audioinput' ? this.mic : this.camera;
    return track?.mediaStreamTrack?.getSettings?.().deviceId ?? this.chosen(kind);
  }

  ofKind(kind) {
    // Before permission the browser lists nameless devices, which are of no use to anyone.
    return this.list.filter((device) => device.kind === kind && device.deviceId !== '' && device.label !== '');
  }

  async #listAgain() {
    this.list = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    if (this.access === 'none' && this.list.some(({ kind }) => kind !== 'audiooutput')) this.access = 'ask';
    this.#changed();
  }

  /** Goes on with another device of the kind, if there is one. */
  async #lost(what) {
    const local = this[what];
    const name = local.label || WORDS[what];
    const wish = what === 'mic' ? { audio: micWish() } : { video: cameraWish() };
    try {
      const stream = await navigator.mediaDevices.getUserMedia(wish);
      const [track] = stream.getTracks();
      await local.replace(track);
      this.dispatchEvent(new CustomEvent('lost', { detail: { what: WORDS[what], name, now: track.label } }));
    } catch {
      this[what === 'mic' ? 'micOn' : 'cameraOn'] = false;
      await local.mute().catch(() => {});
      this.dispatchEvent(new CustomEvent('lost', { detail: { what: WORDS[what], name, now: '' } }));
    }
    this.#listAgain();
  }

  /** Everything off; the next call begins anew. */
  close() {
    this.mic?.stop();
    this.camera?.stop();
    this.mic = null;
    this.camera = null;
    this.#changed();
  }

  #complain(text) {
    this.problem = text;
    this.dispatchEvent(new CustomEvent('trouble', { detail: text }));
  }

  #become(access) {
    this.access = access;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
