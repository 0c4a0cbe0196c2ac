/** Menus above the bar; on phones they come from below. */
import { byId, make, makeIcon } from './ui.js';

let open = null;

/** Closes the menu that is open. @param {boolean} [giveBack] Whether its button gets the focus back. */
export function closeMenu(giveBack = false) {
  if (!open) return false;
  const { menu, scrim, anchor, end, onClose } = open;
  open = null;
  end.abort();
  menu.remove();
  scrim.remove();
  anchor.setAttribute('aria-expanded', 'false');
  onClose?.();
  if (giveBack) anchor.focus({ focusVisible: false });
  return true;
}

/**
 * @typedef {object} Entry
 * @property {string} [label] @property {string} [icon] @property {boolean} [checked] Makes it one of several to choose from.
 * @property {() => void} [action] @property {string} [group] A heading instead. @property {boolean} [line] A line instead.
 * @property {HTMLElement} [element] Anything instead. @property {string} [key] The key that does the same.
 */

/** @param {Entry} entry */
function draw(entry) {
  if (entry.line) return make('hr', '');
  if (entry.group) {
    const heading = make('div', 'group', entry.group);
    heading.setAttribute('role', 'presentation');
    return heading;
  }
  if (entry.element) return entry.element;
  const icon = entry.checked === undefined ? entry.icon : 'check';
  const button = make('button', '', ...(icon ? [makeIcon(icon, 'icon s')] : []), make('span', '', entry.label));
  button.type = 'button';
  button.tabIndex = -1;
  button.setAttribute('role', entry.checked === undefined ? 'menuitem' : 'menuitemradio');
  if (entry.checked !== undefined) button.setAttribute('aria-checked', String(entry.checked));
  if (entry.key) {
    button.append(make('kbd', '', entry.key));
    button.setAttribute('aria-keyshortcuts', entry.key);
  }
  button.addEventListener('click', () => {
    closeMenu(true);
    entry.action();
  });
  return button;
}

function step(menu, key) {
  const items = [...menu.querySelectorAll('button')];
  const at = items.indexOf(document.activeElement);
  const last = items.length - 1;
  const to = { ArrowDown: at < last ? at + 1 : 0, ArrowUp: at > 0 ? at - 1 : last, Home: 0, End: last }[key];
  items[to]?.focus();
}

function position(menu, anchor) {
  const box = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = Math.min(innerWidth - width - 8, Math.max(8, box.left + box.width / 2 - width / 2));
  const above = box.top - height - 8;
  Object.assign(menu.style, { left: `${left}px`, top: `${above >= 8 ? above : Math.max(8, Math.min(box.bottom + 8, innerHeight - height - 8))}px` });
}

/**
 * Opens a menu at a button, or closes it when it was open there.
 *
 * @param {HTMLElement} anchor @param {Entry[]} entries @param {() => void} [onClose]
 */
export function openMenu(anchor, entries, onClose) {
  const again = open?.anchor === anchor;
  closeMenu(again);
  if (again) {
    onClose?.();
    return;
  }
  const menu = make('div', 'menu', ...entries.map(draw));
  menu.setAttribute('role', 'menu');
  menu.setAttribute('aria-label', anchor.getAttribute('aria-label') ?? '');
  const scrim = make('div', 'scrim dims');
  const end = new AbortController();
  const { signal } = end;
  scrim.addEventListener('pointerdown', () => closeMenu(), { signal });
  menu.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') closeMenu(true);
    else if (event.key === 'Tab') closeMenu(true);
    else if (['ArrowDown', 'ArrowUp', 'Home', 'End'].includes(event.key)) step(menu, event.key);
    else if (event.key.length > 1 || event.key === ' ') {
      event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  addEventListener('resize', () => closeMenu(), { signal });
  anchor.setAttribute('aria-expanded', 'true');
  // Inside the room, as in full screen only that is visible.
  byId('bar').parentElement.append(scrim, menu);
  open = { menu, scrim, anchor, end, onClose };
  position(menu, anchor);
  (menu.querySelector('[aria-checked="true"]') ?? menu.querySelector('button'))?.focus({ focusVisible: anchor.matches(':focus-visible') });
}
