/** The two panels of the player: statistics and keys. */
import { byId, formatBitrate, formatMs, formatShare, setText } from './ui.js';

/** Seconds the graph reaches back. */
const HISTORY = 60;
const history = [];

const ROWS = ['Picture', 'Codec', 'Bitrate', 'Latency', 'Round trip', 'Jitter buffer', 'Decoder', 'Packets lost', 'Frames dropped', 'Freezes', 'Connection'];

export function wirePanels() {
  const list = byId('figures');
  for (const name of ROWS) {
    const row = document.createElement('div');
    const term = document.createElement('dt');
    term.textContent = name;
    row.append(term, document.createElement('dd'));
    list.append(row);
  }
  showStats(null);
  for (const id of ['stats', 'keys']) {
    const panel = byId(id);
    const opener = byId(`${id}-open`);
    const set = (open) => {
      panel.hidden = !open;
      opener.setAttribute('aria-expanded', String(open));
    };
    opener.addEventListener('click', () => set(panel.hidden));
    byId(`${id}-close`).addEventListener('click', () => {
      set(false);
      opener.focus({ focusVisible: false });
    });
    document.addEventListener('keydown', (event) => event.key === 'Escape' && set(false));
  }
}

/** @param {import('./stats.js').ViewerStats | null} stats */
export function showStats(stats) {
  history.push(stats?.bitrate ?? 0);
  if (history.length > HISTORY) history.shift();
  if (byId('stats').hidden) return;
  const values = stats === null ? [] : valuesOf(stats);
  [...byId('figures').children].forEach((row, index) => setText(row.lastElementChild, values[index] ?? '–'));
  drawGraph();
}

function valuesOf(stats) {
  const picture = stats.width ? `${stats.width} × ${stats.height}, ${Math.round(stats.fps)} fps` : '–';
  const freezes = stats.freezes === 0 ? 'none' : `${stats.freezes}, ${stats.freezeSeconds.toFixed(1)} s`;
  return [
    picture,
    [stats.codec, stats.audioCodec && capital(stats.audioCodec)].filter(Boolean).join(', ') || '–',
    formatBitrate(stats.bitrate),
    formatMs(stats.latencyMs),
    formatMs(stats.rttMs),
    formatMs(stats.bufferMs),
    stats.decodeMs === null ? '–' : `${stats.decodeMs.toFixed(1)} ms`,
    `${stats.lostTotal} (now ${formatShare(stats.lost)})`,
    String(stats.dropped),
    freezes,
    stats.path || '–',
  ];
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

function drawGraph() {
  const top = Math.max(...history, 1) * 1.1;
  const step = 240 / (HISTORY - 1);
  const start = 240 - (history.length - 1) * step;
  const points = history.map((value, index) => `${(start + index * step).toFixed(1)} ${(40 - (value / top) * 40).toFixed(1)}`);
  const line = `M${points.join('L')}`;
  byId('graph-line').setAttribute('d', line);
  byId('graph-area').setAttribute('d', `${line}V40H${start.toFixed(1)}Z`);
}
