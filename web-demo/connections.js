/** The page of operators: how every connection does, by the admin API. */
import { Chart, levelOf } from './chart.js';
import { byId, formatBitrate, formatMs, formatShare, make, remember, setText } from './ui.js';

const EVERY = 2_000;
const KEY = 'sluice.admin-key';
/** As the server tells participants: lost packets from which a connection is fair, and poor. */
const [FAIR, POOR] = [0.02, 0.08];

let key = remember.get('sessionStorage', KEY) ?? '';
/** Which connection is looked at: `room/session`. */
let chosen = decodeURIComponent(location.hash.slice(1));
let timer = 0;
const chart = new Chart(byId('chart'), 'Nothing was heard of this connection yet. Its picture begins a few seconds after its media.');

class Refused extends Error {}

async function ask(path) {
  const reply = await fetch(path, { headers: { Authorization: `Bearer ${key}` }, cache: 'no-store' });
  if (reply.status === 401) throw new Refused();
  if (reply.status === 404) return null;
  if (!reply.ok) throw new Error(`The server answered ${reply.status}.`);
  return reply.json();
}

/** @param {'door' | 'desk' | 'nobody'} view */
function show(view) {
  for (const id of ['door', 'desk', 'nobody']) byId(id).hidden = id !== view;
  byId('lock').hidden = view === 'door';
}

/** @param {string} [why] */
function lock(why = '') {
  key = '';
  clearTimeout(timer);
  remember.set('sessionStorage', KEY, '');
  show('door');
  byId('wrong').hidden = why === '';
  setText(byId('wrong').lastElementChild, why);
  byId('key').setAttribute('aria-invalid', String(why !== ''));
  byId('key').value = '';
  byId('key').focus();
}

/**
 * A connection, as it is listed.
 *
 * @typedef {{id: string, room: string, name: string, kind: string, session: any}} Entry
 */

/** @returns {Promise<{room: string, entries: Entry[]}[]>} */
async function look() {
  const rooms = (await ask('/admin/rooms')) ?? [];
  const reports = await Promise.all(rooms.map(({ name }) => ask(`/admin/rooms/${encodeURIComponent(name)}`)));
  return reports.filter(Boolean).map((report) => {
    const people = report.participants.filter(({ session }) => session).map(({ id, name, kind, session, tracks }) => ({
      id, name: name || 'Guest', kind: kind === 'stream' ? 'publishes by WHIP' : 'takes part', session, tracks,
    }));
    const viewers = report.viewers.map((session, index) => ({ id: session.id, name: `Viewer ${index + 1}`, kind: 'watches by WHEP', session }));
    const entries = [...people, ...viewers].map((one) => ({ ...one, room: report.name }));
    return { room: report.name, entries, names: namesOf(report) };
  });
}

/** Whose tracks these are, by their ids. */
function namesOf(report) {
  return new Map(report.participants.flatMap(({ name, tracks }) =>
    tracks.map(({ id, source }) => [id, source === 'screen' ? `${name || 'Guest'}: screen` : name || 'Guest'])));
}

const addressOf = ({ room, session }) => `${room}/${session.id}`;

function lostOf({ sends, receives }) {
  return Math.max(0, ...sends.map(({ lost }) => lost), ...receives.map(({ lost }) => lost));
}

function levelOfSession(session) {
  if (!session.connected) return ['off', 'not connected'];
  if (session.receives.some(({ paused }) => paused)) return ['poor', 'poor'];
  const lost = lostOf(session);
  return lost >= POOR ? ['poor', 'poor'] : lost >= FAIR ? ['fair', 'fair'] : ['good', 'good'];
}

const sum = (list) => list.reduce((total, { bitrate }) => total + bitrate, 0);

function drawList(rooms) {
  const focused = document.activeElement?.dataset?.address;
  byId('list').replaceChildren(...rooms.filter(({ entries }) => entries.length > 0).map(({ room, entries }) => {
    const heading = make('h2', '', room);
    heading.title = room;
    return make('section', '', heading, make('div', '', ...entries.map(drawEntry)));
  }));
  if (focused) [...byId('list').querySelectorAll('button')].find(({ dataset }) => dataset.address === focused)?.focus();
}

function drawEntry(entry) {
  const [level, word] = levelOfSession(entry.session);
  const { sends, receives } = entry.session;
  const lamp = make('i', `lamp ${level}`);
  lamp.setAttribute('role', 'img');
  lamp.setAttribute('aria-label', word);
  const name = make('span', 'name', entry.name);
  name.title = entry.name;
  const button = make('button', '', lamp, name, make('span', 'rate ticks', formatBitrate(sum(receives) || sum(sends))));
  button.type = 'button';
  button.dataset.address = addressOf(entry);
  button.setAttribute('aria-current', String(addressOf(entry) === chosen));
  button.addEventListener('click', () => {
    chosen = addressOf(entry);
    history.replaceState(null, '', `#${encodeURIComponent(chosen)}`);
    refresh();
  });
  return button;
}

function drawDetail(entry, names, told) {
  setText(byId('who'), entry.name);
  setText(byId('what'), `${entry.kind} in ${entry.room}`);
  const { session } = entry;
  const { link } = session;
  byId('advice').hidden = session.advice.length === 0;
  setText(byId('advice').querySelector('span'), session.advice.join(' '));
  const readings = [
    ['Estimate', link?.estimate ? formatBitrate(link.estimate) : '–'],
    ['Receives', formatBitrate(link?.sent ?? sum(session.receives))],
    ['Sends', formatBitrate(sum(session.sends))],
    ['Lost', formatShare(lostOf(session))],
    ['Queue', link ? formatMs(link.queue_ms) : '–'],
    ['Round trip', formatMs(session.rtt_ms)],
  ];
  byId('readings').replaceChildren(...readings.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))));
  chart.show(chartOf(told, names));
}

/** @returns {import('./chart.js').ChartData} */
function chartOf(told, names) {
  const { samples = [], pictures = [], span_ms: span = 300_000 } = told ?? {};
  const newest = samples.at(-1)?.ago_ms ?? 0;
  const ago = ({ ago_ms: ms }) => Math.max(0, ms - newest);
  const line = (key, label, field) => ({ key, label, points: samples.map((one) => [ago(one), one[field]]) });
  const publishes = samples.some(({ received }) => received > 0);
  const lanes = lanesOf(pictures, ago, names);
  return {
    span,
    lines: [
      line('ceiling', 'Estimate', 'estimate'),
      line('plan', 'Allotted', 'allotted'),
      ...(publishes ? [line('other', 'Sends', 'received')] : []),
      line('flow', 'Receives', 'sent'),
    ],
    lost: samples.map((one) => [ago(one), Math.max(one.lost, one.received_lost)]),
    lanes,
  };
}

/** @returns {import('./chart.js').Lane[]} One for each track that was shown. */
function lanesOf(pictures, ago, names) {
  const lanes = new Map();
  const shown = new Map();
  const end = (slot, at) => {
    const before = shown.get(slot);
    if (before) lanes.get(before).steps.push({ ago: at, text: '', level: 0 });
  };
  for (const one of pictures) {
    if (shown.get(one.slot) !== one.track) end(one.slot, ago(one));
    shown.set(one.slot, one.track ?? null);
    if (!one.track) continue;
    if (!lanes.has(one.track)) lanes.set(one.track, { label: names.get(one.track) ?? one.track, steps: [] });
    const size = one.height > 0 ? `${one.height}p` : one.encoding === null ? '' : `layer ${one.encoding + 1}`;
    const level = one.height > 0 ? levelOf(one.height) : one.encoding === null ? 0 : Math.min(4, one.encoding + 1);
    lanes.get(one.track).steps.push({ ago: ago(one), text: one.paused ? 'Paused' : size, level, paused: one.paused });
  }
  return [...lanes.values()];
}

async function refresh() {
  clearTimeout(timer);
  try {
    const rooms = await look();
    const all = rooms.flatMap(({ entries }) => entries);
    byId('stale').hidden = true;
    if (all.length === 0) {
      show('nobody');
    } else {
      const entry = all.find((one) => addressOf(one) === chosen) ?? all[0];
      chosen = addressOf(entry);
      const told = await ask(`/admin/rooms/${encodeURIComponent(entry.room)}/sessions/${entry.session.id}`);
      if (chosen !== addressOf(entry)) return;
      show('desk');
      drawList(rooms);
      drawDetail(entry, rooms.find(({ room }) => room === entry.room).names, told);
    }
    remember.set('sessionStorage', KEY, key);
  } catch (error) {
    if (error instanceof Refused) {
      lock('This is not the admin key of this server.');
      return;
    }
    const note = byId(byId('door').hidden ? 'stale' : 'wrong');
    note.hidden = false;
    setText(note.lastElementChild, 'The server does not answer. Trying again…');
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, EVERY);
}

byId('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  key = byId('key').value.trim();
  if (key) refresh();
});
byId('lock').addEventListener('click', () => lock());
if (key) refresh();
else show('door');
