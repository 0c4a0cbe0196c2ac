// @ts-check
/**
 * Camera, microphone and screen of this device, opened within a time limit, with words for what goes wrong.
 */
import { SluiceError } from './sluice-error.js';

/** A device that gives nothing within this time is given up, in milliseconds. The browser's question does not count. */
export const DEVICE_WITHIN_MS = 10_000;

/** @typedef {'mic' | 'camera'} DeviceSource */

/**
 * Opens a camera or a microphone.
 *
 * @param {DeviceSource} source
 * @param {MediaTrackConstraints} constraints
 * @returns {Promise<MediaStreamTrack>}
 * @throws {SluiceError} `denied`, `missing`, `in_use`, `no_answer`, `insecure` or `device`.
 */
export async function openDevice(source, constraints) {
  if (!globalThis.navigator?.mediaDevices?.getUserMedia) throw new SluiceError('insecure');
  const what = source === 'mic' ? 'microphone' : 'camera';
  const asked = navigator.mediaDevices.getUserMedia(source === 'mic' ? { audio: constraints } : { video: constraints });
  const stream = await limited(asked, source, what);
  const [track] = stream.getTracks();
  // Text wants sharp pixels, faces want smooth motion; the encoder trades one for the other.
  if (source === 'camera') track.contentHint = 'motion';
  return track;
}

/**
 * @param {Promise<MediaStream>} asked @param {DeviceSource} source @param {string} what
 * @returns {Promise<MediaStream>}
 */
async function limited(asked, source, what) {
  let given = false;
  // A device that answers after all must not stay open with nobody to close it.
  asked.then((stream) => given && stream.getTracks().forEach((track) => track.stop())).catch(() => {});
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    const giveUp = async () => {
      // As long as the browser's question is open, the person is the one who takes time.
      if (await isAsking(source)) {
        timer = setTimeout(giveUp, DEVICE_WITHIN_MS);
        return;
      }
      given = true;
      reject(new SluiceError('no_answer', `The ${what} does not start. Unplug it and plug it in again, or choose another one.`));
    };
    timer = setTimeout(giveUp, DEVICE_WITHIN_MS);
  });
  try {
    return /** @type {MediaStream} */ (await Promise.race([asked, late]));
  } catch (error) {
    throw error instanceof SluiceError ? error : deviceError(error, what);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {DeviceSource} source @returns {Promise<boolean>} Whether the browser still waits for the person's yes or no. */
async function isAsking(source) {
  const name = /** @type {PermissionName} */ (source === 'mic' ? 'microphone' : 'camera');
  try {
    return (await navigator.permissions.query({ name })).state === 'prompt';
  } catch {
    return false;
  }
}

/** @param {unknown} error @param {string} what @returns {SluiceError} */
function deviceError(error, what) {
  const name = error instanceof Error ? error.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') {
    return new SluiceError(
      'denied',
      `Your browser blocks the ${what} for this page. Change that beside the address bar, then try again.`,
    );
  }
  if (name === 'NotFoundError' || name === 'OverconstrainedError') {
    return new SluiceError('missing', `No ${what} was found. Plug one in, then try again.`);
  }
  if (name === 'NotReadableError' || name === 'AbortError') {
    return new SluiceError('in_use', `The ${what} is in use by another program. Close that one, then try again.`);
  }
  return new SluiceError(
    'device',
    `The ${what} could not be started. Unplug it and plug it in again, or choose another one.`,
  );
}

/**
 * Lets the person choose a screen, a window or a tab. There is no time limit: it is the person who takes the time.
 *
 * @param {{audio?: boolean} & DisplayMediaStreamOptions} options
 * @returns {Promise<MediaStreamTrack[]>} The picture, and the sound where there is one.
 * @throws {SluiceError} `canceled`, `denied` or `unsupported`.
 */
export async function openScreen({ audio = false, video = { frameRate: { ideal: 30 } }, ...more }) {
  if (!globalThis.navigator?.mediaDevices?.getDisplayMedia) {
    throw new SluiceError('unsupported', 'This browser cannot share a screen.');
  }
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ ...more, video, audio });
    const [picture] = stream.getVideoTracks();
    picture.contentHint = 'detail';
    return [picture, ...stream.getAudioTracks()];
  } catch (error) {
    // Chromium tells "the system forbids it" from "the person said no" only in the message.
    const forbidden = error instanceof Error && /system/i.test(error.message);
    if (!forbidden) throw new SluiceError('canceled');
    throw new SluiceError('denied', 'Your system does not let the browser record the screen. Allow it in the system settings.');
  }
}

/** @param {MediaTrackConstraints} [wish] @returns {MediaTrackConstraints} */
export function microphoneWish(wish = {}) {
  return { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...wish };
}

/** @param {MediaTrackConstraints} [wish] @returns {MediaTrackConstraints} */
export function cameraWish(wish = {}) {
  return { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 }, ...wish };
}
