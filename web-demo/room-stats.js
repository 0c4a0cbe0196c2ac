/** The figures over a tile. */
import { formatBitrate, formatMs, formatShare, make } from './ui.js';

const LINES = [
  ['Picture', (stats) => (stats.height ? `${stats.width}×${stats.height}` : '–')],
  ['Frames', (stats) => (stats.fps === undefined || stats.fps === null ? '–' : `${Math.round(stats.fps)} fps`)],
  ['Bitrate', (stats) => (stats.bitrate === undefined || stats.bitrate === null ? '–' : formatBitrate(stats.bitrate))],
  ['Codec', (stats) => stats.codec || '–'],
  ['Sizes', (stats, own) => (own && stats.sizes?.length > 1 ? stats.sizes.map((height) => `${height}p`).join(', ') : undefined)],
  ['Lost', (stats) => formatShare(stats.loss)],
  ['Round trip', (stats) => formatMs(stats.rtt)],
  ['Jitter buffer', (stats, own) => (own ? undefined : formatMs(stats.jitterBuffer))],
  ['Freezes', (stats, own) => (own || stats.freezes === undefined ? undefined : String(stats.freezes ?? '–'))],
];

/**
 * @param {Record<string, any> | null} stats What `Room.getStats()` gave. @param {boolean} own Whether the track is sent.
 * @returns {HTMLElement}
 */
export function figures(stats, own) {
  const list = make('dl', 'figures ticks');
  for (const [name, value] of LINES) {
    const text = stats ? value(stats, own) : '–';
    if (text !== undefined) list.append(make('div', '', make('dt', '', name), make('dd', '', text)));
  }
  return list;
}
