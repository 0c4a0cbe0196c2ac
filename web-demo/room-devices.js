/** The own camera, microphone and loudspeaker: from the lobby into the call. */
import { canCapture } from './capture.js';
import { LocalTrack } from './sluice.js';
import { remember } from './ui.js';

const KEYS = { audioinput: 'sluice.microphone', videoinput: 'sluice.camera', audiooutput: 'sluice.loudspeaker' };
const WORDS = { mic: 'microphone', camera: 'camera' };

/** @param {string} deviceId As remembered: it may be gone, so it is a wish. */
const wishFor = (deviceId) => (deviceId ? { deviceId: { ideal: deviceId } } : {});
const OPEN = { mic: (wish) => LocalTrack.microphone(wish), camera: (wish) => LocalTrack.camera(wish) };
const KIND = { mic: 'audioinput', camera: 'videoinput' };

/** What went wrong, in words for people. The client module has them already. */
const wordsOf = (error, what) => error.message || `The ${what} could not be started.`;

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
  #mayAsk = true;
  #watches = false;
  /** Counts calls: what was begun for one must not open a device after it. */
  #visit = 0;
  /** What the devices in use are called. */
  #labels = { mic: '', camera: '' };
  /** What the browser or the person keeps from the page, as of the last attempt. @type {Set<'mic' | 'camera'>} */
  #forbidden = new Set();

  /** Opens what may be opened without a question. */
  async begin() {
    if (!canCapture) {
      this.#become(globalThis.isSecureContext ? 'none' : 'insecure');
      return;
    }
    if (!this.#watches) navigator.mediaDevices.addEventListener('devicechange', () => this.#listAgain());
    this.#watches = true;
    await this.#listAgain();
    const states = await Promise.all([permission('camera'), permission('microphone')]);
    this.#mayAsk = !states.every((state) => state === 'granted' || state === 'denied');
    if (!this.list.some(({ kind }) => kind === 'videoinput' || kind === 'audioinput')) this.#become('none');
    else if (states.every((state) => state === 'denied')) this.#become('blocked');
    else if (this.#mayAsk && !this.ofKind('audioinput').length) this.#become('ask');
    else await this.open();
  }

  /** Opens both; where the browser has to ask the person, it asks once. */
  async open() {
    if (this.busy) return;
    this.busy = true;
    this.problem = '';
    this.#forbidden.clear();
    this.#changed();
    const asked = this.#mayAsk ? await this.#ask() : null;
    const wanted = ['mic', 'camera'].filter((what) => (what === 'mic' || this.cameraOn) && !this.#forbidden.has(what));
    await Promise.all(wanted.map((what) => this.#start(what).catch((error) => this.#refused(error, what))));
    // Until here, so that the camera does not blink.
    for (const track of asked?.getTracks() ?? []) track.stop();
    this.busy = false;
    await this.#listAgain();
    if (this.mic || this.camera) this.#become('given');
    else if (this.#forbidden.size > 0) this.#become('blocked');
    else this.#become(this.problem === '' ? 'none' : 'ask');
  }

  /** @returns {Promise<MediaStream | null>} Null where the two cannot be had together: each is tried alone then. */
  async #ask() {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    } catch (error) {
      if (error.name !== 'NotAllowedError') return null;
      const [camera, mic] = await Promise.all([permission('camera'), permission('microphone')]);
      // Who said no to the question is not asked again at once.
      if (camera === 'denied' || mic !== 'denied') this.#forbidden.add('camera');
      if (mic === 'denied' || camera !== 'denied') this.#forbidden.add('mic');
      return null;
    }
  }

  /** @param {{code: string}} error @param {'mic' | 'camera'} what */
  #refused(error, what) {
    if (error.code === 'denied') this.#forbidden.add(what);
    // A computer without a camera is no problem to speak of.
    if (error.code !== 'missing') this.problem = wordsOf(error, WORDS[what]);
  }

  /** @param {'mic' | 'camera'} what */
  async #start(what) {
    if (this[what]) return;
    const visit = this.#visit;
    const local = await OPEN[what](wishFor(this.chosen(KIND[what])));
    if (visit !== this.#visit || this[what]) {
      // The person left, or asked twice, while the device took its time.
      local.stop();
      return;
    }
    this[what] = local;
    this.access = 'given';
    const changed = () => {
      this.#labels[what] = local.mediaStreamTrack?.label ?? this.#labels[what];
      this.#changed();
    };
    for (const type of ['mute', 'replaced']) local.addEventListener(type, changed);
    local.addEventListener('ended', () => this.#lost(what));
    if (!(what === 'mic' ? this.micOn : this.cameraOn)) await local.mute();
    this.dispatchEvent(new CustomEvent('track', { detail: local }));
    changed();
  }

  /** @param {'mic' | 'camera'} what @param {boolean} on */
  async set(what, on) {
    const flag = what === 'mic' ? 'micOn' : 'cameraOn';
    this[flag] = on;
    this.problem = '';
    remember.set('localStorage', what === 'mic' ? 'sluice.mic-on' : 'sluice.camera-on', on ? 'yes' : 'no');
    this.#changed();
    try {
      if (this[what]) await (on ? this[what].unmute() : this[what].mute());
      else if (on) await this.#start(what);
    } catch (error) {
      this[flag] = false;
      this.#complain(wordsOf(error, WORDS[what]));
    }
    await this.#listAgain();
  }

  /** @param {'audioinput' | 'videoinput' | 'audiooutput'} kind @param {string} deviceId */
  async choose(kind, deviceId) {
    remember.set('localStorage', KEYS[kind], deviceId);
    const what = kind === 'audioinput' ? 'mic' : 'camera';
    try {
      // A camera that is off stays off; it is the chosen one when it is turned on.
      if (kind !== 'audiooutput' && this[what]) await this[what].replace({ deviceId: { exact: deviceId } });
    } catch (error) {
      this.#complain(wordsOf(error, WORDS[what]));
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
    if (!canCapture) return;
    this.list = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    if (this.access === 'none' && this.list.some(({ kind }) => kind !== 'audiooutput')) this.access = 'ask';
    this.#changed();
  }

  /** Goes on with another device of the kind, if there is one. @param {'mic' | 'camera'} what */
  async #lost(what) {
    const [local, name] = [this[what], this.#labels[what] || `Your ${WORDS[what]}`];
    const flag = what === 'mic' ? 'micOn' : 'cameraOn';
    if (!local) return;
    let now = '';
    try {
      await local.replace({});
      if (this[flag]) await local.unmute();
      now = local.mediaStreamTrack?.label ?? '';
    } catch {
      this[flag] = false;
    }
    this.dispatchEvent(new CustomEvent('lost', { detail: { what: WORDS[what], name, now } }));
    await this.#listAgain();
  }

  /** Everything off; the next call begins anew. */
  close() {
    this.#visit += 1;
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
