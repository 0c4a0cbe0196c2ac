/** Small things all pages share. */

/** Names a stream can have; the server checks the same. */
export const STREAM_NAME = /^[A-Za-z0-9\-_.~]{1,128}$/;

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/** @returns {string | null} The name in `/watch/{stream}`, `/publish/{stream}`, `/room/{room}`; null where it cannot be one. */
export function streamOfPage() {
  const part = location.pathname.split('/').filter(Boolean)[1] ?? '';
  try {
    const name = decodeURIComponent(part);
    return STREAM_NAME.test(name) ? name : null;
  } catch {
    return null; // A stray "%" in the address.
  }
}

/**
 * A new element. Text is only ever text: markup in a name or a message stays visible as it was typed.
 *
 * @param {string} tag @param {string} className @param {...(Node | string)} content @returns {HTMLElement}
 */
export function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** @param {string} name Symbol of icons.svg. @param {string} [className] */
export function makeIcon(name, className = 'icon') {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('class', className);
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(space, 'use');
  use.setAttribute('href', `/assets/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** @param {HTMLElement} element Holds one icon. @param {string} name Symbol of icons.svg. */
export function setIcon(element, name) {
  element.querySelector('use').setAttribute('href', `/assets/icons.svg#${name}`);
}

/** Names a button for eyes (tooltip) and screen readers alike. @param {HTMLElement} button @param {string} text */
export function setLabel(button, text, key = '') {
  button.setAttribute('aria-label', text);
  button.dataset.tip = key ? `${text} (${key})` : text;
}

/** Replaces the text only when it differs, so that live regions speak once. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {number} bitsPerSecond */
export function formatBitrate(bitsPerSecond) {
  if (bitsPerSecond >= 999_500) return `${(bitsPerSecond / 1e6).toFixed(1)} Mb/s`;
  return `${Math.round(bitsPerSecond / 1000)} kb/s`;
}

/** @param {number | null | undefined} ms */
export const formatMs = (ms) => (ms === null || ms === undefined ? '–' : `${Math.round(ms)} ms`);

/** @param {number | null | undefined} share 0 to 1. */
export function formatShare(share) {
  if (share === null || share === undefined) return '–';
  return share > 0 && share < 0.1 ? `${(share * 100).toFixed(1)} %` : `${Math.round(share * 100)} %`;
}

/** @param {number} ms */
export function formatDuration(ms) {
  const seconds = Math.floor(ms / 1000);
  const two = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** @param {string} text @returns {Promise<boolean>} Whether the text is in the clipboard now. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard on http pages, where the old way still works.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'visually-hidden';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** Wires every `[data-copy]` button: it copies the value of the field with that id. */
export function wireCopyButtons() {
  for (const button of document.querySelectorAll('[data-copy]')) {
    const label = button.getAttribute('aria-label');
    let timer;
    button.addEventListener('click', async () => {
      const done = await copy(byId(button.dataset.copy).value);
      setIcon(button, done ? 'check' : 'close');
      button.classList.toggle('done', done);
      byId('said').textContent = done ? 'Copied' : 'Could not copy. Select the text and copy it by hand.';
      setLabel(button, done ? 'Copied' : 'Could not copy');
      clearTimeout(timer);
      timer = setTimeout(() => {
        setIcon(button, 'copy');
        button.classList.remove('done');
        setLabel(button, label);
        byId('said').textContent = '';
      }, 1800);
    });
  }
}

/** Storage that may be forbidden or full: losing a preference is no reason to stop. */
export const remember = {
  get(storage, key) {
    try {
      return globalThis[storage].getItem(key);
    } catch {
      return null;
    }
  },
  set(storage, key, value) {
    try {
      globalThis[storage].setItem(key, value);
    } catch {
      // Nothing to do.
    }
  },
};
