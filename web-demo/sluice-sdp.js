// @ts-check
/**
 * The little that is done to offers: fewer codecs, so that twenty sections stay small, and stereo.
 */

/** Formats of a codec that every browser with it has. Others of the same codec are left out of offers. */
const FORMATS = new Map([
  ['video/vp8', () => true],
  ['video/vp9', (/** @type {string} */ fmtp) => /profile-id=0|^$/.test(fmtp)],
  ['video/h264', (/** @type {string} */ fmtp) => /packetization-mode=1/.test(fmtp) && /profile-level-id=42(e0|00)1f/i.test(fmtp)],
  ['video/av1', (/** @type {string} */ fmtp) => !/profile=[12]/.test(fmtp)],
  ['audio/opus', () => true],
]);
const REPAIR = 'video/rtx';

/**
 * @param {{mimeType: string, sdpFmtpLine?: string}[]} codecs What the browser has.
 * @param {string} [codec] Name of the only codec to keep, such as `vp8`.
 * @returns {any[]} What is offered, in the browser's order. Empty where nothing of it fits.
 */
export function chooseCodecs(codecs, codec) {
  const known = codecs.filter(({ mimeType, sdpFmtpLine }) => FORMATS.get(mimeType.toLowerCase())?.(sdpFmtpLine ?? ''));
  const named = known.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec?.toLowerCase()}`);
  const chosen = named.length > 0 ? named : known;
  if (chosen.length === 0) return [];
  return [...chosen, ...codecs.filter(({ mimeType }) => mimeType.toLowerCase() === REPAIR)];
}

/**
 * @param {RTCRtpTransceiver} transceiver @param {'sender' | 'receiver'} side @param {'audio' | 'video'} kind
 * @param {string} [codec] Name of the only video codec to keep.
 */
export function keepCodecs(transceiver, side, kind, codec) {
  const capabilities = (side === 'sender' ? RTCRtpSender : RTCRtpReceiver).getCapabilities?.(kind);
  const chosen = chooseCodecs(capabilities?.codecs ?? [], kind === 'video' ? codec : undefined);
  if (chosen.length > 0) transceiver.setCodecPreferences?.(chosen);
}

/** @param {string} sdp @returns {string[]} The names of its media sections, data channels apart, in order. */
export function midsOf(sdp) {
  const sections = sdp.split(/^m=/m).slice(1);
  const media = sections.filter((section) => !section.startsWith('application'));
  return media.map((section) => /^a=mid:(\S+)/m.exec(section)?.[1] ?? '');
}

/**
 * Browsers decode Opus to mono unless the receiver asks for stereo (RFC 7587 section 6.1), and streams have it.
 *
 * @param {string} sdp An offer.
 */
export function withStereo(sdp) {
  const opus = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1];
  if (!opus) return sdp;
  return sdp.replace(new RegExp(`^(a=fmtp:${opus} (?!.*\\bstereo=)[^\\r\\n]*)`, 'gm'), '$1;stereo=1');
}

/**
 * Chromium begins at 300 kbit/s by itself, which is a blurred picture for the first ten seconds. This adds libwebrtc's
 * own parameter to each video format of an answer. Other browsers pass over it.
 *
 * @param {string} sdp @param {number} kbps @returns {string}
 */
export function withStartBitrate(sdp, kbps) {
  const parameter = `x-google-start-bitrate=${kbps}`;
  const formats = [...sdp.matchAll(/^a=rtpmap:(\d+) (?:VP8|VP9|H264|H265|AV1)\//gim)].map((match) => match[1]);
  const described = new Set([...sdp.matchAll(/^a=fmtp:(\d+) /gm)].map((match) => match[1]));
  const lines = sdp.split('\r\n').flatMap((line) => {
    const [, kind, format] = line.match(/^a=(fmtp|rtpmap):(\d+) /) ?? [];
    if (!formats.includes(format)) return [line];
    if (kind === 'fmtp') return [`${line};${parameter}`];
    return described.has(format) ? [line] : [line, `a=fmtp:${format} ${parameter}`];
  });
  return lines.join('\r\n');
}

/**
 * Lets a section that receives ask for dependency descriptors. By them a browser knows which layers of an AV1 picture belong
 * together; without them it is sent the lowest only. Chromium has the extension and does not offer it by itself.
 *
 * @param {RTCRtpTransceiver} transceiver
 */
export function askForLayers(transceiver) {
  // Newer than the types.
  const section = /** @type {any} */ (transceiver);
  const extensions = section.getHeaderExtensionsToNegotiate?.();
  const descriptor = extensions?.find((/** @type {{uri: string}} */ { uri }) => uri.endsWith('#dependency-descriptor-rtp-header-extension'));
  if (!descriptor) return;
  descriptor.direction = 'sendrecv';
  section.setHeaderExtensionsToNegotiate(extensions);
}
