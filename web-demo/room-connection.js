/** The own connection over the last minutes: what came, what got lost, which pictures were small or paused, and why. */
import { Chart, levelOf } from './chart.js';
import { shownName } from './room-names.js';
import { byId, formatBitrate, formatMs, formatShare, make, setText } from './ui.js';

/** How far back it reaches, in milliseconds. */
const SPAN = 300_000;
const EVERY = 2_000;
/** From such a share on lost packets are worth a word; picture and sound repair less. */
const MUCH = 0.02;
const LEVELS = { good: 'Good', fair: 'Not quite good', poor: 'Poor' };

/**
 * One look at the connection.
 *
 * @typedef {object} Sample
 * @property {number} at On the clock of `performance.now()`. @property {number} received @property {number} sent
 * @property {number | null} uplink @property {number} loss @property {number | null} rtt
 * @property {{id: string, name: string, height: number, why: string | null}[]} pictures
 */

export class ConnectionView {
  /** @type {Sample[]} */
  #samples = [];
  #chart;
  #dialog = byId('connection');

  /** @param {import('./sluice.js').Room} room @param {AbortSignal} signal */
  constructor(room, signal) {
    this.room = room;
    this.#chart = new Chart(byId('connection-chart'), 'The picture of your connection begins in a few seconds.');
    const timer = setInterval(() => this.#look(), EVERY);
    this.#look();
    byId('connection-close').addEventListener('click', () => this.#dialog.close(), { signal });
    this.#dialog.addEventListener('click', (event) => event.target === this.#dialog && this.#dialog.close(), { signal });
    this.#dialog.addEventListener('keydown', (event) => event.key.toLowerCase() === 'n' && this.toggle(), { signal });
    room.addEventListener('quality', () => this.#draw(), { signal });
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      this.#dialog.close();
    });
  }

  toggle() {
    if (this.#dialog.open) {
      this.#dialog.close();
      return;
    }
    this.#dialog.showModal();
    this.#draw();
  }

  async #look() {
    const stats = await this.room.getConnectionStats().catch(() => null);
    if (!stats) return;
    const now = performance.now();
    const pictures = [...stats.pictures].filter(([track]) => !track.muted).map(([track, height]) => {
      const name = shownName(track.peer.name);
      const why = track.state === 'paused' ? track.why : null;
      return { id: track.id, name: track.source === 'screen' ? `${name}: screen` : name, height, why };
    });
    this.#samples.push({ ...stats, at: now, pictures });
    this.#samples = this.#samples.filter(({ at }) => now - at <= SPAN + EVERY);
    this.#draw();
  }

  #draw() {
    if (!this.#dialog.open) return;
    const samples = this.#samples;
    const now = samples.at(-1);
    const level = this.room.connectionQuality;
    const line = byId('connection-verdict');
    line.firstElementChild.className = `bars ${level}`;
    setText(line.lastElementChild, `${LEVELS[level]}. ${verdict(samples)}`);
    const readings = [
      ['Received', now ? formatBitrate(now.received) : '–'],
      ['Sent', now ? formatBitrate(now.sent) : '–'],
      ['Lost', formatShare(now?.loss)],
      ['Round trip', formatMs(now?.rtt)],
    ];
    byId('connection-readings').replaceChildren(...readings.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))));
    this.#chart.show(chartOf(samples, performance.now()));
  }
}

/** @param {Sample[]} samples @param {number} now @returns {import('./chart.js').ChartData} */
function chartOf(samples, now) {
  // What is drawn ends at the right edge, not a moment before it.
  const ago = ({ at }) => Math.max(0, Math.min(now, samples.at(-1)?.at ?? now) - at);
  // The first look has nothing to compare with.
  const known = samples.slice(1);
  return {
    span: SPAN,
    lines: [
      { key: 'ceiling', label: 'Could send', points: known.map((sample) => [ago(sample), sample.uplink]) },
      { key: 'plan', label: 'Sent', points: known.map((sample) => [ago(sample), sample.sent]) },
      { key: 'flow', label: 'Received', points: known.map((sample) => [ago(sample), sample.received]) },
    ],
    lost: known.map((sample) => [ago(sample), sample.loss]),
    lanes: lanesOf(known, ago),
  };
}

/** @param {Sample[]} samples @param {(sample: Sample) => number} ago @returns {import('./chart.js').Lane[]} */
function lanesOf(samples, ago) {
  const names = new Map(samples.flatMap(({ pictures }) => pictures.map(({ id, name }) => [id, name])));
  const lanes = [...names].map(([id, label]) => {
    const steps = [];
    for (const sample of samples) {
      const picture = sample.pictures.find((one) => one.id === id);
      const paused = picture?.why === 'bandwidth';
      const level = levelOf(picture?.height ?? 0);
      const text = paused ? 'Paused' : level > 0 ? `${picture.height}p` : '';
      if (steps.at(-1)?.text !== text) steps.push({ ago: ago(sample), text, level, paused });
    }
    return { label, steps };
  });
  return lanes.filter(({ steps }) => steps.some(({ level, paused }) => level > 0 || paused));
}

/** Why it was as it was, in one sentence. @param {Sample[]} samples */
export function verdict(samples) {
  if (samples.length < 3) return 'A moment, please: it was looked at for a few seconds only.';
  const minutes = Math.max(1, Math.round((samples.at(-1).at - samples[0].at) / 60_000));
  const time = minutes === 1 ? 'the last minute' : `the last ${minutes} minutes`;
  const paused = samples.filter(({ pictures }) => pictures.some(({ why }) => why === 'bandwidth')).length * (EVERY / 1000);
  const lossy = samples.filter(({ loss }) => loss >= MUCH);
  if (paused > 0) return `In ${time} pictures were paused for ${paused} s, as your connection did not carry them.`;
  if (lossy.length >= 2) {
    const most = Math.max(...lossy.map(({ loss }) => loss));
    return `In ${time} up to ${formatShare(most)} of what was sent to you got lost on the way.`;
  }
  return `In ${time} your connection carried all that was sent to you.`;
}
