/** The side panel: chat and people. */
import { pieces, shownName } from './room-names.js';
import { wireLinkButton } from './room-lobby.js';
import { paintAvatar, trackOf } from './room-tile.js';
import { byId, make, makeIcon, setText } from './ui.js';

/** Messages of one person within so many milliseconds stand together. */
const TOGETHER = 120_000;
/** How many messages stay in the page. */
const MOST = 500;

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const isSheet = matchMedia('(max-width: 760px)');

/** Fires `unread` when the number of unread messages changes. */
export class Panel extends EventTarget {
  /** @type {'chat' | 'people' | null} */
  shown = null;
  unread = 0;
  #last = null;
  #scrim = null;
  #opener = null;

  /** @param {import('./sluice.js').Room} room @param {import('./room-devices.js').Devices} devices @param {() => string} link @param {AbortSignal} signal */
  constructor(room, devices, link, signal) {
    super();
    this.room = room;
    this.devices = devices;
    byId('panel-close').addEventListener('click', () => this.close(), { signal });
    byId('write').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    }, { signal });
    byId('words').addEventListener('input', () => this.#grow(), { signal });
    byId('words').addEventListener('keydown', (event) => {
      // A word that is being composed (Japanese, Chinese) ends with Enter too.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    }, { signal });
    byId('newer').addEventListener('click', () => this.#toEnd(), { signal });
    byId('messages').addEventListener('scroll', () => this.#isAtEnd() && (byId('newer').hidden = true), { signal });
    wireLinkButton(byId('people-link'), link, signal);
    room.addEventListener('chat', ({ detail }) => this.#add(detail), { signal });
    const drawPeople = () => this.#drawPeople();
    for (const type of [
      'peer-joined', 'peer-changed', 'peer-left', 'track-published', 'track-unpublished', 'track-muted', 'track-unmuted',
      'speakers', 'quality',
    ]) room.addEventListener(type, drawPeople, { signal });
    devices.addEventListener('change', drawPeople, { signal });
    document.addEventListener('visibilitychange', () => this.#read(), { signal });
    signal.addEventListener('abort', () => this.close());
    byId('messages').replaceChildren(make('p', 'none muted small', 'Only those who are here now see your messages. Nothing is kept.'));
    for (const message of room.chat.messages) this.#add(message);
    this.#drawPeople();
  }

  /** @param {'chat' | 'people'} which */
  toggle(which) {
    if (this.shown === which) this.close();
    else this.open(which);
  }

  /** @param {'chat' | 'people'} which */
  open(which) {
    this.shown = which;
    if (!byId('panel').contains(document.activeElement)) this.#opener = document.activeElement;
    setText(byId('panel-title'), which === 'chat' ? 'Chat' : 'People');
    byId('chat').hidden = which !== 'chat';
    byId('people').hidden = which !== 'people';
    byId('panel').hidden = false;
    this.#drawButtons();
    this.#drawPeople();
    if (isSheet.matches && !this.#scrim) {
      this.#scrim = make('div', 'scrim below-panel');
      this.#scrim.addEventListener('pointerdown', () => this.close());
      byId('room').append(this.#scrim);
    }
    if (which === 'chat') {
      this.#toEnd();
      this.#read();
      // On phones the keyboard would cover half of what was opened to be read.
      if (!isSheet.matches) byId('words').focus({ focusVisible: false });
    } else if (isSheet.matches) {
      byId('panel-close').focus({ focusVisible: false });
    }
  }

  /** @returns {boolean} Whether there was anything to close. */
  close() {
    if (!this.shown) return false;
    const inside = byId('panel').contains(document.activeElement);
    this.shown = null;
    byId('panel').hidden = true;
    this.#scrim?.remove();
    this.#scrim = null;
    this.#drawButtons();
    if (inside) this.#opener?.focus({ focusVisible: false });
    return true;
  }

  #drawButtons() {
    for (const which of ['chat', 'people']) {
      const button = byId(`${which}-open`);
      const on = this.shown === which;
      button.classList.toggle('on', on);
      button.setAttribute('aria-expanded', String(on));
    }
    this.#label();
  }

  #label() {
    const count = this.room.peers.size + 1;
    setText(byId('count'), count > 1 ? String(count) : '');
    byId('people-open').setAttribute('aria-label', `People: ${count}`);
    byId('people-open').dataset.tip = 'People (P)';
    const unread = this.unread > 0 ? `, ${this.unread} unread` : '';
    byId('chat-open').setAttribute('aria-label', `Chat${unread}`);
    byId('chat-open').dataset.tip = 'Chat (C)';
    byId('unread').hidden = this.unread === 0;
  }

  #read() {
    if (this.shown !== 'chat' || document.hidden || this.unread === 0) return;
    this.unread = 0;
    this.#label();
    this.dispatchEvent(new Event('unread'));
  }

  #isAtEnd() {
    const list = byId('messages');
    return list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  }

  #toEnd() {
    byId('messages').scrollTop = byId('messages').scrollHeight;
    byId('newer').hidden = true;
  }

  #grow() {
    const field = byId('words');
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight}px`;
    byId('send').disabled = field.value.trim() === '';
  }

  async #send() {
    const field = byId('words');
    const text = field.value.trim();
    if (text === '') return;
    field.value = '';
    this.#grow();
    this.#toEnd();
    try {
      await this.room.chat.send(text);
    } catch (error) {
      // What was written must not be lost.
      if (field.value === '') field.value = text;
      this.#grow();
      this.room.dispatchEvent(new CustomEvent('error', { detail: { code: 'chat', message: `Not sent: ${error.message}` } }));
    }
    this.#toEnd();
  }

  /** @param {{from: any, name: string, text: string, at: number | Date, own: boolean}} message */
  #add(message) {
    const list = byId('messages');
    const atEnd = this.#isAtEnd();
    list.querySelector('.none')?.remove();
    const from = message.own ? 'me' : (message.from?.id ?? message.from);
    const at = Number(message.at);
    const begins = !this.#last || this.#last.from !== from || at - this.#last.at > TOGETHER;
    this.#last = { from, at };
    const text = make('div', 'text', ...pieces(message.text).map(({ text: words, href }) => {
      if (!href) return words;
      const link = make('a', '', words);
      link.href = href;
      link.target = '_blank';
      link.rel = 'noopener noreferrer nofollow';
      return link;
    }));
    const item = make('div', `message${message.own ? ' own' : ''}${begins ? ' begins' : ''}`);
    if (begins) {
      const by = make('div', 'by', ...(message.own ? [] : [make('b', '', shownName(message.name))]), make('span', 'ticks', clock.format(at)));
      item.append(by);
    }
    item.append(text);
    list.append(item);
    while (list.children.length > MOST) list.firstChild.remove();
    if (atEnd || message.own) this.#toEnd();
    else byId('newer').hidden = this.shown !== 'chat';
    if (message.own || (this.shown === 'chat' && !document.hidden)) return;
    this.unread += 1;
    this.#label();
    this.dispatchEvent(new Event('unread'));
  }

  #drawPeople() {
    this.#label();
    if (this.shown !== 'people') return;
    const { room, devices } = this;
    const others = [...room.peers.values()].sort((one, other) => shownName(one.name).localeCompare(shownName(other.name)));
    const rows = others.map((peer) => this.#row(peer, false, trackOf(peer, 'mic'), trackOf(peer, 'screen')));
    byId('people-list').replaceChildren(this.#row(room.me, true, devices.mic, room.tracks.get('screen')), ...rows);
    setText(byId('panel-title'), `People (${others.length + 1})`);
  }

  #row(peer, own, mic, screen) {
    const avatar = make('span', 'avatar');
    avatar.setAttribute('aria-hidden', 'true');
    const isStream = peer.kind === 'stream';
    paintAvatar(avatar, peer.name, isStream ? 'live' : '');
    const name = `${shownName(peer.name)}${own ? ' (you)' : ''}`;
    const about = make('div', '', make('span', 'name', name));
    about.firstChild.title = name;
    const poor = peer.quality === 'poor' ? 'Poor network' : '';
    const line = peer.state === 'reconnecting' ? 'Reconnecting' : screen ? 'Shares the screen' : isStream ? 'Live stream' : poor;
    if (line) about.append(make('span', 'note-line', line));
    const row = make('li', peer.speaking ? 'speaking' : '', avatar, about);
    if (screen) row.append(makeIcon('screen', 'icon s'));
    if (!isStream) {
      const off = !mic || mic.muted;
      row.append(makeIcon(off ? 'mic-off' : 'mic', `icon s${off ? ' bad' : ''}`));
      row.append(make('span', 'visually-hidden', off ? 'microphone off' : 'microphone on'));
    }
    return row;
  }
}
