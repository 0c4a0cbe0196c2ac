// @ts-check
/**
 * As what a picture is sent: how many encodings of it, how large, and at how many bits.
 */

/** @typedef {import('./sluice-local.js').LocalSource} LocalSource */

/**
 * One encoding of several, the smallest first.
 *
 * @typedef {object} Encoding
 * @property {number} [maxBitrate] Bits per second at most; what suits the height where it is missing.
 * @property {number} [maxFramerate] Frames per second at most.
 * @property {number} [scaleResolutionDownBy] 2 is half the width and half the height.
 */

/** False for one encoding; a list for encodings of your own, three at most. What suits the picture where it is missing. @typedef {false | Encoding[]} Simulcast */

/** Names of a camera's encodings in SDP (RFC 8853), the smallest picture first: a quarter, a half, full. */
export const RIDS = ['q', 'h', 'f'];

/** Bits per second that a camera's picture of such a height is worth. */
const WORTH = [[135, 100_000], [180, 150_000], [270, 300_000], [360, 500_000], [480, 900_000], [540, 1_100_000], [720, 1_700_000], [1080, 3_000_000]];
const WORTH_MOST = 4_000_000;
const SCREEN_BITRATE = 2_500_000;
/** From such a height on a picture is sent twice, and three times. Below it a smaller one would save next to nothing. */
const TWICE_FROM = 270;
const THRICE_FROM = 540;

/**
 * Several encodings of each picture cost a publisher little: the smaller ones are a quarter and a sixteenth of it. With
 * temporal layers the server can also thin out frames; a browser that does not know `scalabilityMode` passes over it.
 *
 * @param {LocalSource} source
 * @returns {RTCRtpEncodingParameters[] | undefined} What to open a section with; undefined for sound. What is sent of them
 *   is set once there is a picture.
 */
export function sectionEncodings(source) {
  if (source === 'camera') {
    const full = 2 ** (RIDS.length - 1);
    return RIDS.map((rid, index) => layered({ rid, scaleResolutionDownBy: full / 2 ** index }, 'L1T3'));
  }
  return source === 'screen' ? [layered({ maxBitrate: SCREEN_BITRATE }, 'L1T2')] : undefined;
}

/** @param {RTCRtpEncodingParameters} encoding @param {string} mode */
function layered(encoding, mode) {
  // Not among the standard's declarations yet (W3C WebRTC-SVC).
  return /** @type {RTCRtpEncodingParameters} */ ({ ...encoding, scalabilityMode: mode });
}

/**
 * The encodings of a picture of this size, the smallest first. Those that a section has beyond them are off: browsers fill
 * them from the smallest on too.
 *
 * @param {number} height Of what is captured: its shorter side, in pixels; 0 while it is not known, and it is sent once: a
 *   quarter of a small picture would be of no use.
 * @param {Simulcast} [simulcast]
 * @returns {Required<Pick<Encoding, 'maxBitrate' | 'scaleResolutionDownBy'>>[] & Encoding[]}
 */
export function planEncodings(height, simulcast) {
  const known = height || 720;
  if (simulcast && simulcast.length > 0) {
    return simulcast.slice(0, RIDS.length).map((encoding) => {
      const scale = Math.max(1, encoding.scaleResolutionDownBy ?? 1);
      return { ...encoding, scaleResolutionDownBy: scale, maxBitrate: encoding.maxBitrate ?? worthOf(known / scale) };
    });
  }
  const count = simulcast === false || height < TWICE_FROM ? 1 : height < THRICE_FROM ? 2 : 3;
  return Array.from({ length: count }, (_, index) => {
    const scale = 2 ** (count - 1 - index);
    return { scaleResolutionDownBy: scale, maxBitrate: worthOf(known / scale) };
  });
}

/** @param {number} height In pixels. */
function worthOf(height) {
  return WORTH.find(([most]) => height <= most)?.[1] ?? WORTH_MOST;
}

/**
 * What each encoding of a section shall be.
 *
 * @param {RTCRtpEncodingParameters[]} now As the browser tells them.
 * @param {{height: number, simulcast?: Simulcast, active: boolean, rids: string[] | null}} wish `active`: whether anything
 *   is to be sent; `rids`: which encodings anybody uses, null for all.
 * @returns {{encodings: RTCRtpEncodingParameters[], changed: boolean}}
 */
export function wishedEncodings(now, { height, simulcast, active, rids }) {
  const layered = now.length > 1;
  const plan = layered ? planEncodings(height, simulcast) : [];
  const planned = now.slice(0, layered ? plan.length : 1);
  const isUsed = (/** @type {RTCRtpEncodingParameters} */ { rid }) => rid === undefined || !rids || rids.includes(rid);
  // Whatever is meant by names of which there is none now: a picture that is wanted is sent.
  const anyUsed = planned.some(isUsed);
  let changed = false;
  const encodings = now.map((encoding, index) => {
    const isOn = active && index < planned.length && (!anyUsed || isUsed(encoding));
    const next = { ...encoding, ...(active ? plan[index] : {}), active: isOn };
    changed ||= Object.entries(next).some(([key, value]) => value !== (/** @type {any} */ (encoding)[key] ?? (key === 'active' ? true : undefined)));
    return next;
  });
  return { encodings, changed };
}
