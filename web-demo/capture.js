/** Camera, microphone and screen of this device. */

/** What this browser and page allow. */
export const canCapture = Boolean(navigator.mediaDevices?.getUserMedia);
export const canShareScreen = Boolean(navigator.mediaDevices?.getDisplayMedia);

/**
 * Plain words for what `getUserMedia` throws.
 *
 * @param {Error} error @param {'camera' | 'microphone' | 'camera and microphone'} what
 */
export function explain(error, what) {
  if (error.name === 'NotAllowedError') {
    return `Your browser blocks the ${what} for this page. Change that beside the address bar, then try again.`;
  }
  if (error.name === 'NotFoundError') return `No ${what.replace('and', 'or')} was found. Plug one in, then try again.`;
  if (error.name === 'NotReadableError') return `The ${what} is in use by another program. Close that one, then try again.`;
  return `The ${what} could not be started. Unplug it and plug it in again, or choose another one.`;
}

/**
 * Holds at most one video and one audio track. Fires `video` and `audio` when they change, `devices` when the list of
 * devices does, `lost` (its `detail` is 'camera', 'screen' or 'microphone') when one goes away by itself.
 */
export class Capture extends EventTarget {
  /** @type {'camera' | 'screen'} */
  source = 'camera';
  /** @type {MediaStreamTrack | null} */
  video = null;
  /** @type {MediaStreamTrack | null} */
  audio = null;
  /** @type {MediaDeviceInfo[]} */
  devices = [];
  /** Height of the camera picture that is asked for, in pixels. */
  height = 720;

  constructor() {
    super();
    if (!canCapture) return;
    navigator.mediaDevices.addEventListener('devicechange', () => this.listDevices());
  }

  /** @param {'videoinput' | 'audioinput'} kind */
  ofKind(kind) {
    // Before permission the browser lists nameless devices, which are of no use to anyone.
    return this.devices.filter((device) => device.kind === kind && device.deviceId !== '');
  }

  async listDevices() {
    this.devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    this.dispatchEvent(new Event('devices'));
  }

  /** Both at once, so that the browser asks once. @returns {Promise<Error | null>} The first thing that went wrong. */
  async openBoth() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: this.#cameraWish(), audio: microphoneWish() });
      this.#setVideo(stream.getVideoTracks()[0], 'camera');
      this.#setAudio(stream.getAudioTracks()[0]);
      await this.listDevices();
      return null;
    } catch (error) {
      if (error.name === 'NotAllowedError') return error;
      // One of the two is missing or broken: take the other.
      const camera = await this.openCamera();
      const microphone = await this.openMicrophone();
      return camera ?? microphone;
    }
  }

  /** @param {string} [deviceId] @returns {Promise<Error | null>} */
  async openCamera(deviceId) {
    try {
      // Some cameras give one picture at a time: the old one must be closed before it is opened in another size.
      if (this.source === 'camera') this.video?.stop();
      const stream = await navigator.mediaDevices.getUserMedia({ video: this.#cameraWish(deviceId) });
      this.#setVideo(stream.getVideoTracks()[0], 'camera');
      await this.listDevices();
      return null;
    } catch (error) {
      if (this.video?.readyState === 'ended') this.closeVideo();
      return error;
    }
  }

  /** @param {string} [deviceId] @returns {Promise<Error | null>} */
  async openMicrophone(deviceId) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: microphoneWish(deviceId) });
      this.#setAudio(stream.getAudioTracks()[0]);
      await this.listDevices();
      return null;
    } catch (error) {
      return error;
    }
  }

  /** @returns {Promise<boolean>} False when the person closed the browser's picker. */
  async shareScreen() {
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30 } }, audio: false });
      this.#setVideo(stream.getVideoTracks()[0], 'screen');
      return true;
    } catch {
      return false;
    }
  }

  closeVideo() {
    this.#setVideo(null, this.source);
  }

  closeAudio() {
    this.#setAudio(null);
  }

  #setVideo(track, source) {
    this.video?.stop();
    this.video = track;
    this.source = source;
    if (track) {
      // Text wants sharp pixels, faces want smooth motion; the encoder trades one for the other.
      track.contentHint = source === 'screen' ? 'detail' : 'motion';
      track.addEventListener('ended', () => this.video === track && this.#lose(source));
    }
    this.dispatchEvent(new Event('video'));
  }

  #setAudio(track) {
    this.audio?.stop();
    this.audio = track;
    track?.addEventListener('ended', () => this.audio === track && this.#lose('microphone'));
    this.dispatchEvent(new Event('audio'));
  }

  #lose(what) {
    if (what === 'microphone') this.closeAudio();
    else this.closeVideo();
    this.dispatchEvent(new CustomEvent('lost', { detail: what }));
  }

  #cameraWish(deviceId) {
    return {
      deviceId: deviceId ? { exact: deviceId } : undefined,
      width: { ideal: Math.round((this.height * 16) / 9) },
      height: { ideal: this.height },
      frameRate: { ideal: 30 },
    };
  }
}

function microphoneWish(deviceId) {
  return { deviceId: deviceId ? { exact: deviceId } : undefined, echoCancellation: true, noiseSuppression: true };
}

/** A page may not start audio before somebody touched it, not even to listen; so the first touch starts it. */
function newContext() {
  const context = new AudioContext();
  const resume = () => context.resume().catch(() => {});
  for (const event of ['pointerdown', 'keydown']) addEventListener(event, resume, { once: true });
  resume();
  return context;
}

/** Loudness of a track, for the bar under the microphone. */
export class LevelMeter {
  #context = null;
  #source = null;
  #analyser = null;
  #samples = new Float32Array(1024);

  /** @param {MediaStreamTrack | null} track */
  watch(track) {
    this.#source?.disconnect();
    this.#source = null;
    if (!track) return;
    this.#context ??= newContext();
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: this.#samples.length });
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
  }

  /** @returns {number} 0 to 1, linear in decibels from -60 to -6 dBFS. */
  level() {
    if (!this.#source) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let power = 0;
    for (const sample of this.#samples) power += sample * sample;
    const decibels = 10 * Math.log10(power / this.#samples.length + 1e-12);
    return Math.min(1, Math.max(0, (decibels + 60) / 54));
  }

  /** Whether nothing at all comes, not even noise. Call it after `level()`. */
  isDead() {
    return this.#source !== null && this.#context.state === 'running' && this.#samples.every((sample) => sample === 0);
  }
}
