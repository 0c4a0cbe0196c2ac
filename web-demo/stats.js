/**
 * Figures people understand, out of `RTCPeerConnection.getStats()`. Rates are over the time since the last reading.
 */

/**
 * @typedef {object} PathStats
 * @property {number | null} rttMs Round trip to the server.
 * @property {string} path Such as "UDP, IPv4"; empty while unknown.
 */

/**
 * @typedef {object} ViewerFigures
 * @property {number} bitrate Media received, bits per second.
 * @property {number} width Pixels. @property {number} height Pixels. @property {number} fps Frames decoded per second.
 * @property {string} codec Such as "H264"; empty without video.
 * @property {string} audioCodec Such as "opus".
 * @property {number} lost Share of packets lost since the last reading, 0 to 1.
 * @property {number} lostTotal Packets lost since the start.
 * @property {number | null} bufferMs Mean time a frame spent in the jitter buffer.
 * @property {number | null} decodeMs Mean time to decode a frame.
 * @property {number} freezes Since the start. @property {number} freezeSeconds Sum of their durations.
 * @property {number} dropped Frames received and not shown, since the start.
 * @property {number | null} latencyMs From the server to the decoded picture: half the round trip, jitter buffer and
 *   decoder. What lies between camera and server is not in it, and cannot be known here.
 * @typedef {PathStats & ViewerFigures} ViewerStats
 */

/**
 * @typedef {object} PublisherFigures
 * @property {number} bitrate Media sent, bits per second.
 * @property {number} width Pixels. @property {number} height Pixels. @property {number} fps Frames sent per second.
 * @property {string} codec Such as "VP8". @property {string} encoder Name of the encoder; empty where not told.
 * @property {number | null} lost Share of packets the server missed, as it reported last, 0 to 1.
 * @property {number[]} sizes Heights of all encodings that are sent, the smallest first (simulcast).
 * @property {'none' | 'cpu' | 'bandwidth' | 'other'} limit What keeps the picture below its source.
 * @typedef {PathStats & PublisherFigures} PublisherStats
 */

export class StatsReader {
  /** @type {RTCPeerConnection} */
  #pc;
  /** @type {Map<string, object>} The last reading, by report id. */
  #last = new Map();

  /** @param {RTCPeerConnection} pc */
  constructor(pc) {
    this.#pc = pc;
  }

  /** @returns {Promise<ViewerStats>} */
  async viewer() {
    const report = await this.#pc.getStats();
    const video = find(report, 'inbound-rtp', 'video');
    const audio = find(report, 'inbound-rtp', 'audio');
    const path = pathOf(report);
    const received = this.#delta(video, 'packetsReceived') + this.#delta(audio, 'packetsReceived');
    const lost = Math.max(0, this.#delta(video, 'packetsLost') + this.#delta(audio, 'packetsLost'));
    const timed = video?.framesDecoded ? video : audio;
    const bufferMs = this.#mean(timed, 'jitterBufferDelay', 'jitterBufferEmittedCount');
    const decodeMs = this.#mean(video, 'totalDecodeTime', 'framesDecoded');
    // totalProcessingDelay runs from the first packet of a frame to its decoded picture, so it holds both others.
    const processingMs = this.#mean(video, 'totalProcessingDelay', 'framesDecoded') ?? sum(bufferMs, decodeMs);
    const stats = {
      ...path,
      bitrate: this.#rate(video, 'bytesReceived') * 8 + this.#rate(audio, 'bytesReceived') * 8,
      width: video?.frameWidth ?? 0,
      height: video?.frameHeight ?? 0,
      fps: video?.framesPerSecond ?? this.#rate(video, 'framesDecoded'),
      codec: codecOf(report, video),
      audioCodec: codecOf(report, audio),
      lost: received + lost > 0 ? lost / (received + lost) : 0,
      lostTotal: Math.max(0, (video?.packetsLost ?? 0) + (audio?.packetsLost ?? 0)),
      bufferMs,
      decodeMs,
      freezes: video?.freezeCount ?? 0,
      freezeSeconds: video?.totalFreezesDuration ?? 0,
      dropped: video?.framesDropped ?? 0,
      latencyMs: processingMs === null ? null : processingMs + (path.rttMs ?? 0) / 2,
    };
    this.#keep(video, audio);
    return stats;
  }

  /** @returns {Promise<PublisherStats>} */
  async publisher() {
    const report = await this.#pc.getStats();
    const videos = all(report, 'outbound-rtp', 'video');
    const sent = videos.filter((one) => this.#rate(one, 'bytesSent') > 0);
    // Of several encodings the largest is the picture.
    const video = largest(sent) ?? largest(videos);
    const audio = find(report, 'outbound-rtp', 'audio');
    const heard = [...all(report, 'remote-inbound-rtp', 'video'), ...all(report, 'remote-inbound-rtp', 'audio')];
    const path = pathOf(report);
    const rtt = heard.find(({ roundTripTime }) => roundTripTime !== undefined)?.roundTripTime;
    const lost = heard.map(({ fractionLost }) => fractionLost).filter((share) => share !== undefined);
    const stats = {
      path: path.path,
      rttMs: path.rttMs ?? (rtt === undefined ? null : rtt * 1000),
      bitrate: [...videos, audio].reduce((sum, one) => sum + this.#rate(one, 'bytesSent') * 8, 0),
      width: video?.frameWidth ?? 0,
      height: video?.frameHeight ?? 0,
      fps: video?.framesPerSecond ?? this.#rate(video, 'framesEncoded'),
      codec: codecOf(report, video),
      encoder: video?.encoderImplementation ?? '',
      lost: lost.length > 0 ? Math.max(...lost) : null,
      sizes: sent.map(({ frameHeight }) => frameHeight ?? 0).filter((height) => height > 0).sort((one, other) => one - other),
      limit: video?.qualityLimitationReason ?? 'none',
    };
    this.#keep(...videos, audio);
    return stats;
  }

  #delta(stat, key) {
    return (stat?.[key] ?? 0) - (this.#last.get(stat?.id)?.[key] ?? 0);
  }

  #rate(stat, key) {
    const before = this.#last.get(stat?.id);
    if (!before) return 0;
    const seconds = (stat.timestamp - before.timestamp) / 1000;
    return seconds > 0 ? Math.max(0, this.#delta(stat, key) / seconds) : 0;
  }

  /** Mean of a growing sum of seconds over a growing count, in milliseconds; null while nothing was counted. */
  #mean(stat, sumKey, countKey) {
    const count = this.#delta(stat, countKey);
    return count > 0 && stat[sumKey] !== undefined ? (this.#delta(stat, sumKey) / count) * 1000 : null;
  }

  #keep(...stats) {
    this.#last = new Map(stats.filter(Boolean).map((stat) => [stat.id, stat]));
  }
}

function sum(a, b) {
  return a === null && b === null ? null : (a ?? 0) + (b ?? 0);
}

function find(report, type, kind) {
  for (const stat of report.values()) if (stat.type === type && stat.kind === kind) return stat;
  return undefined;
}

function all(report, type, kind) {
  return [...report.values()].filter((stat) => stat.type === type && stat.kind === kind);
}

function largest(videos) {
  return videos.reduce((most, one) => (most && (most.frameHeight ?? 0) >= (one.frameHeight ?? 0) ? most : one), undefined);
}

function codecOf(report, stat) {
  const mimeType = report.get(stat?.codecId)?.mimeType ?? '';
  return mimeType.slice(mimeType.indexOf('/') + 1);
}

/** @returns {PathStats} */
function pathOf(report) {
  const stats = [...report.values()];
  const transport = stats.find((stat) => stat.type === 'transport' && stat.selectedCandidatePairId);
  // Firefox marks the pair itself instead of naming it in the transport.
  const pair =
    report.get(transport?.selectedCandidatePairId) ??
    stats.find((stat) => stat.type === 'candidate-pair' && (stat.selected || (stat.nominated && stat.state === 'succeeded')));
  const remote = report.get(pair?.remoteCandidateId);
  const address = remote?.address ?? remote?.ip ?? '';
  const family = address.includes(':') ? 'IPv6' : address ? 'IPv4' : '';
  return {
    rttMs: pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000,
    path: [remote?.protocol?.toUpperCase(), family].filter(Boolean).join(', '),
  };
}
