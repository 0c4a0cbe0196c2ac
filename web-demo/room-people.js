/** Who is in the room already, for somebody at its door. */
import { setText } from './ui.js';

/** How often it is asked. */
const ASK_EVERY_MS = 5000;

/**
 * @param {{count: number, names: string[]}} people
 * @returns {string} For example `Ada, Bob and 3 others are here`.
 */
export function describePeople({ count, names }) {
  if (count === 0) return 'Nobody is here yet';
  const shown = names.slice(0, count > 3 ? 2 : 3);
  const others = count - shown.length;
  const parts = others > 0 ? [...shown, others === 1 ? '1 other' : `${others} others`] : shown;
  const last = parts.pop();
  const list = parts.length > 0 ? `${parts.join(', ')} and ${last}` : last;
  return `${list} ${count === 1 ? 'is' : 'are'} here`;
}

/**
 * Shows it, until `signal` says stop.
 *
 * @param {HTMLElement} element @param {string} room @param {() => string} keyNow The room's key, as far as it is known.
 * @param {AbortSignal} signal
 */
export function showPeople(element, room, keyNow, signal) {
  const ask = async () => {
    if (document.hidden) return;
    const key = keyNow();
    const headers = key ? { Authorization: `Bearer ${key}` } : {};
    try {
      const reply = await fetch(`/room/${encodeURIComponent(room)}/people`, { headers, signal });
      setText(element, reply.ok ? describePeople(await reply.json()) : '');
    } catch {
      setText(element, '');
    }
  };
  const timer = setInterval(ask, ASK_EVERY_MS);
  signal.addEventListener('abort', () => clearInterval(timer));
  ask();
}
