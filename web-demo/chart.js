/**
 * A connection's last minutes as a picture: what it can carry, what was meant for it and what was sent, what got lost, and
 * which pictures it showed how large. Plain SVG, drawn anew at every width.
 *
 * @typedef {object} Line
 * @property {string} key Class of its look: `ceiling`, `plan`, `flow` or `other`. @property {string} label
 * @property {[number, number | null][]} points Milliseconds ago, and bits per second; the oldest first.
 *
 * @typedef {object} Lane What one picture was: from then on, until the next.
 * @property {string} label @property {{ago: number, text: string, level: number, paused?: boolean}[]} steps `level`: 0 for
 *   nothing, 1 to 4 for the size.
 *
 * @typedef {object} ChartData
 * @property {number} span Milliseconds. @property {Line[]} lines @property {[number, number][]} lost Milliseconds ago, and
 *   a share from 0 to 1. @property {Lane[]} lanes
 */
import { formatBitrate, formatShare, make } from './ui.js';

const SPACE = 'http://www.w3.org/2000/svg';
/** Pixels. */
const RATES = 168;
const LOSS = 36;
const LANE = 22;
const GAP = 18;
const AXIS = 22;
const LEFT = 4;
const RIGHT = 68;
const NARROW = 520;
const MOST_LANES = 9;
/** A gap longer than this in a line is a time of which nothing is known, in milliseconds. */
const UNKNOWN = 7_000;
/** So much loss fills its band. */
const LOSS_TOP = 0.1;

function svg(tag, attributes = {}, ...content) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...content);
  return element;
}

/** The round number above that halves well. @param {number} value */
export function roundTop(value) {
  const least = Math.max(value, 100_000);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((step) => step * power).find((top) => top >= least);
}

/** @param {number} ms */
export function agoText(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 2) return 'now';
  return seconds < 60 ? `${seconds} s ago` : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} min ago`;
}

/** How large a picture is, 1 to 4. @param {number} height In pixels. */
export const levelOf = (height) => (height <= 0 ? 0 : height < 250 ? 1 : height < 500 ? 2 : height < 800 ? 3 : 4);

export class Chart {
  /** @type {ChartData | null} */
  #data = null;
  #width = 0;
  /** @type {number | null} Where the person points, in milliseconds ago. */
  #pointed = null;

  /** @param {HTMLElement} holder Gets the class `chart`. @param {string} emptyText */
  constructor(holder, emptyText) {
    this.holder = holder;
    this.emptyText = emptyText;
    holder.classList.add('chart');
    this.legend = make('div', 'legend');
    this.plot = make('div', 'plot');
    this.plot.tabIndex = 0;
    this.plot.setAttribute('role', 'img');
    holder.replaceChildren(this.legend, this.plot);
    new ResizeObserver(() => this.#resized()).observe(this.plot);
    this.plot.addEventListener('pointermove', (event) => this.#point(this.#agoAt(event.offsetX)));
    this.plot.addEventListener('pointerleave', () => this.#point(null));
    this.plot.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: 2000, ArrowRight: -2000 }[event.key];
      if (!by || !this.#data) return;
      event.preventDefault();
      event.stopPropagation();
      this.#point(Math.min(this.#data.span, Math.max(0, (this.#pointed ?? 0) + by)));
    });
    this.plot.addEventListener('blur', () => this.#point(null));
  }

  /** @param {ChartData} data */
  show(data) {
    this.#data = data;
    this.#draw();
  }

  #resized() {
    if (this.plot.clientWidth === this.#width) return;
    this.#width = this.plot.clientWidth;
    this.#draw();
  }

  get #right() {
    return this.#width - RIGHT;
  }

  #x(ago) {
    return LEFT + (1 - Math.min(1, Math.max(0, ago / this.#data.span))) * (this.#right - LEFT);
  }

  #agoAt(x) {
    if (!this.#data) return null;
    return Math.min(1, Math.max(0, 1 - (x - LEFT) / (this.#right - LEFT))) * this.#data.span;
  }

  #point(ago) {
    this.#pointed = ago;
    this.#drawPointer();
    this.#drawLegend();
  }

  #draw() {
    const data = this.#data;
    if (!data || this.#width < 80) return;
    const isEmpty = data.lines.every(({ points }) => points.length < 2);
    this.holder.classList.toggle('empty', isEmpty);
    if (isEmpty) {
      this.plot.replaceChildren(make('p', 'muted', this.emptyText));
      this.plot.setAttribute('aria-label', this.emptyText);
      this.legend.replaceChildren();
      return;
    }
    const lanes = data.lanes.slice(0, MOST_LANES);
    const lossAt = RATES + GAP;
    const lanesAt = lossAt + LOSS + GAP;
    const end = lanes.length > 0 ? lanesAt + lanes.length * LANE : lossAt + LOSS;
    const picture = svg('svg', { width: this.#width, height: end + AXIS, 'aria-hidden': 'true' });
    picture.append(...this.#times(end), ...this.#rates(), ...this.#losses(lossAt));
    lanes.forEach((lane, index) => picture.append(...this.#lane(lane, lanesAt + index * LANE)));
    this.pointer = svg('line', { class: 'pointer', y1: 0, y2: end });
    picture.append(this.pointer);
    this.plot.replaceChildren(picture);
    this.plot.setAttribute('aria-label', this.#words());
    this.#drawPointer();
    this.#drawLegend();
  }

  /** Minutes, from the left to now. */
  #times(end) {
    const every = this.#width < NARROW ? 120_000 : 60_000;
    const marks = [];
    for (let ago = 0; ago <= this.#data.span; ago += every) {
      const x = this.#x(ago);
      const isNow = ago === 0;
      marks.push(svg('line', { class: 'grid', x1: x, x2: x, y1: 0, y2: end }));
      const anchor = isNow ? 'end' : x < 24 ? 'start' : 'middle';
      marks.push(svg('text', { class: 'tick', x, y: end + 16, 'text-anchor': anchor }, isNow ? 'now' : `${ago / 60_000} min`));
    }
    return marks;
  }

  #rates() {
    const { lines } = this.#data;
    const most = (key) => Math.max(0, ...lines.filter((line) => (line.key === 'ceiling') === key).flatMap(({ points }) => points.map(([, value]) => value ?? 0)));
    // A ceiling far above everything would flatten what matters; it leaves the picture instead.
    const top = roundTop(Math.max(most(false), Math.min(most(true), most(false) * 2)) * 1.04);
    const y = (value) => RATES - (value / top) * (RATES - 8);
    const parts = [0, 0.5, 1].flatMap((share) => [
      svg('line', { class: share === 0 ? 'base' : 'grid', x1: LEFT, x2: this.#right, y1: y(top * share), y2: y(top * share) }),
      svg('text', { class: 'tick', x: this.#right + 8, y: y(top * share) + 4 }, share === 0 ? '0' : rateTick(top * share)),
    ]);
    // What flows lies below what is planned, and that below what is possible.
    for (const line of [...lines].reverse()) {
      for (const run of runs(line.points)) {
        const path = run.map(([ago, value]) => `${this.#x(ago).toFixed(1)} ${y(value).toFixed(1)}`).join('L');
        if (line.key === 'flow') {
          const [first, last] = [this.#x(run[0][0]).toFixed(1), this.#x(run.at(-1)[0]).toFixed(1)];
          parts.push(svg('path', { class: 'area', d: `M${path}L${last} ${RATES}L${first} ${RATES}Z` }));
        }
        parts.push(svg('path', { class: `line ${line.key}`, d: `M${path}` }));
      }
    }
    return parts;
  }

  #losses(top) {
    const { lost } = this.#data;
    const bottom = top + LOSS;
    const width = Math.max(1.5, ((this.#right - LEFT) / (this.#data.span / 2000)) * 0.72);
    const parts = [
      svg('line', { class: 'base', x1: LEFT, x2: this.#right, y1: bottom, y2: bottom }),
      svg('text', { class: 'tick', x: this.#right + 8, y: bottom - LOSS / 2 + 4 }, 'Lost'),
    ];
    for (const [ago, share] of lost) {
      if (share < 0.0005) continue;
      const height = Math.max(2, Math.min(1, share / LOSS_TOP) * LOSS);
      parts.push(svg('rect', {
        class: share >= 0.02 ? 'lost much' : 'lost', x: this.#x(ago) - width / 2, y: bottom - height, width, height, rx: Math.min(1, width / 2),
      }));
    }
    return parts;
  }

  /** @param {Lane} lane @param {number} top */
  #lane(lane, top) {
    const parts = [];
    lane.steps.forEach((step, index) => {
      const [from, to] = [this.#x(step.ago), this.#x(lane.steps[index + 1]?.ago ?? 0)];
      if (to - from < 0.5 || (step.level === 0 && !step.paused)) return;
      const look = step.paused ? 'paused' : `level${step.level}`;
      parts.push(svg('rect', { class: `step ${look}`, x: from, y: top, width: Math.max(1, to - from - 1), height: LANE - 4, rx: 3 }));
      if (to - from > step.text.length * 7 + 10) parts.push(svg('text', { class: `size ${look}`, x: from + 6, y: top + 13 }, step.text));
    });
    const words = lane.label.length > 9 ? `${lane.label.slice(0, 8)}…` : lane.label;
    parts.push(svg('text', { class: 'tick', x: this.#right + 8, y: top + 13 }, svg('title', {}, lane.label), words));
    return parts;
  }

  #drawPointer() {
    if (!this.pointer?.isConnected) return;
    this.pointer.style.display = this.#pointed === null ? 'none' : '';
    const x = this.#pointed === null ? 0 : this.#x(this.#pointed);
    this.pointer.setAttribute('x1', x);
    this.pointer.setAttribute('x2', x);
  }

  /** What the lines mean, and their values where the person points, or now. */
  #drawLegend() {
    const data = this.#data;
    if (!data || this.holder.classList.contains('empty')) return;
    const ago = this.#pointed ?? 0;
    const items = data.lines.filter(({ points }) => points.some(([, value]) => value !== null)).map(({ key, label, points }) => {
      const value = nearest(points, ago)?.[1];
      return make('div', '', make('i', key), make('span', '', label), make('b', 'ticks', value === null || value === undefined ? '–' : formatBitrate(value)));
    });
    const lost = nearest(data.lost, ago)?.[1];
    items.push(make('div', '', make('i', 'lost'), make('span', '', 'Lost'), make('b', 'ticks', formatShare(lost))));
    this.legend.replaceChildren(...items, make('div', 'when ticks muted', agoText(ago)));
  }

  /** For those who do not see it. */
  #words() {
    const now = this.#data.lines.map(({ label, points }) => `${label} ${formatBitrate(points.at(-1)?.[1] ?? 0)}`);
    const most = Math.max(0, ...this.#data.lost.map(([, share]) => share));
    const lanes = this.#data.lanes.map(({ label, steps }) => `${label} ${steps.at(-1)?.text ?? ''}`);
    return `The last minutes. Now: ${now.join(', ')}. At most ${formatShare(most)} were lost. ${lanes.join(', ')}`;
  }
}

/** @param {number} value */
function rateTick(value) {
  return value >= 1e6 ? `${+(value / 1e6).toFixed(2)} Mb/s` : `${Math.round(value / 1000)} kb/s`;
}

/** @param {[number, any][]} points @param {number} ago */
function nearest(points, ago) {
  let found;
  for (const point of points) if (!found || Math.abs(point[0] - ago) < Math.abs(found[0] - ago)) found = point;
  return found && Math.abs(found[0] - ago) < UNKNOWN ? found : undefined;
}

/** The stretches of a line of which something is known. @param {[number, number | null][]} points */
export function runs(points) {
  const all = [];
  let run = [];
  for (const point of points) {
    const before = run.at(-1);
    if (before && (point[1] === null || before[0] - point[0] > UNKNOWN)) {
      all.push(run);
      run = [];
    }
    if (point[1] !== null) run.push(point);
  }
  if (run.length > 0) all.push(run);
  return all.filter((stretch) => stretch.length > 1);
}
