/** Keys of a call. */
import { closeMenu } from './room-menu.js';
import { byId, make } from './ui.js';

const KEYS = [
  ['M', 'Microphone on, off'],
  ['Space', 'Hold to talk while muted'],
  ['V', 'Camera on, off'],
  ['S', 'Share your screen'],
  ['C', 'Chat'],
  ['P', 'People'],
  ['L', 'Grid or speaker view'],
  ['← →', 'Turn pages'],
  ['Enter', 'Pin the chosen tile'],
  ['I', 'Statistics of the chosen tile'],
  ['N', 'Your connection'],
  ['F', 'Full screen'],
  ['Esc', 'Close'],
  ['?', 'This list'],
];

/** Whether somebody writes at the moment. @param {EventTarget | null} target */
const writes = (target) => target instanceof Element && target.matches('input, textarea, select, [contenteditable]');
/** Whether Space belongs to a button that was reached by the keyboard. */
const presses = (target) => target instanceof Element && target.matches(':is(button, a, summary, [role="menuitem"]):focus-visible');

/**
 * @param {Record<'mic' | 'camera' | 'share' | 'chat' | 'people' | 'layout' | 'fullscreen' | 'connection' | 'close', () => void>
 *   & {turn: (by: number) => void, talk: (on: boolean) => void, isMuted: () => boolean}} acts
 * @param {AbortSignal} signal
 */
export function wireKeys(acts, signal) {
  const byKey = {
    m: acts.mic, v: acts.camera, s: acts.share, c: acts.chat, p: acts.people, l: acts.layout, f: acts.fullscreen, n: acts.connection, '?': toggleKeys,
  };
  let talking = false;
  const endTalk = () => {
    if (!talking) return;
    talking = false;
    acts.talk(false);
  };
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (event.key === 'Escape') {
      if (!closeMenu(true)) acts.close();
      return;
    }
    if (writes(event.target)) return;
    if (event.key === ' ') {
      if (presses(event.target)) return;
      event.preventDefault();
      if (event.repeat || talking || !acts.isMuted()) return;
      talking = true;
      acts.talk(true);
    } else if (event.key === 'ArrowLeft' || event.key === 'PageUp') {
      if (!event.target.closest?.('.messages, .people, [role="toolbar"]')) acts.turn(-1);
    } else if (event.key === 'ArrowRight' || event.key === 'PageDown') {
      if (!event.target.closest?.('.messages, .people, [role="toolbar"]')) acts.turn(1);
    } else if (!event.repeat && byKey[event.key.toLowerCase()]) {
      event.preventDefault();
      byKey[event.key.toLowerCase()]();
    }
  }, { signal });
  addEventListener('keyup', (event) => {
    if (event.key !== ' ' || !talking) return;
    // Else the button that was clicked last would be pressed once more.
    event.preventDefault();
    endTalk();
  }, { signal });
  // The key may be let go elsewhere, and nobody wants to be heard by accident.
  addEventListener('blur', endTalk, { signal });
  signal.addEventListener('abort', () => byId('keys').close());
}

export function toggleKeys() {
  const dialog = byId('keys');
  if (dialog.open) {
    dialog.close();
    return;
  }
  if (!byId('keys-list').hasChildNodes()) {
    byId('keys-list').append(...KEYS.map(([keys, what]) => {
      const names = keys.split(' ').flatMap((key, index) => (index ? [' ', make('kbd', '', key)] : [make('kbd', '', key)]));
      return make('div', '', make('dt', '', what), make('dd', '', ...names));
    }));
    byId('keys-close').addEventListener('click', () => dialog.close());
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  }
  dialog.showModal();
}
