/** Names and words of people: initials, colours, links. Nothing here needs a page. */

const graphemes = globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: 'grapheme' }) : null;

/** What a reader sees as the first character, be it an emoji of several code points. @param {string} word */
function firstOf(word) {
  const first = graphemes ? graphemes.segment(word)[Symbol.iterator]().next().value?.segment : [...word][0];
  return first ?? '';
}

/**
 * One or two characters that stand for a name; none where the name has no letter, digit or picture.
 *
 * @param {string} name
 */
export function initials(name) {
  const words = name.split(/[\s_\-.]+/u).filter((word) => /[\p{L}\p{N}\p{Extended_Pictographic}]/u.test(word));
  if (words.length === 0) return '';
  const first = firstOf(words[0]);
  // Scripts without capitals join their letters or fill a square: one is enough.
  if (words.length === 1 || first.toLocaleUpperCase() === first.toLocaleLowerCase()) return first.toLocaleUpperCase();
  return (first + firstOf(words[words.length - 1])).toLocaleUpperCase();
}

/** The colour of a name, the same on every screen: a hue in degrees. @param {string} name */
export function hueOf(name) {
  let hash = 2166136261;
  for (const character of name.trim().toLowerCase()) {
    hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  }
  // 24 hues that can be told apart.
  return ((hash >>> 8) % 24) * 15;
}

/** @param {string} name What a person is called who gave no name. */
export const shownName = (name) => name.trim() || 'Guest';

const LINK = /\b(?:https?:\/\/|www\.)[^\s<>"'`]+/giu;

/**
 * Cuts a text into plain pieces and links. Only http and https become links, and a full stop or a bracket behind one
 * belongs to the sentence.
 *
 * @param {string} text @returns {{text: string, href?: string}[]}
 */
export function pieces(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    let link = match[0].replace(/[.,;:!?…*_]+$/u, '');
    while (link.endsWith(')') && !link.includes('(')) link = link.slice(0, -1).replace(/[.,;:!?]+$/u, '');
    const href = link.toLowerCase().startsWith('www.') ? `https://${link}` : link;
    if (!URL.canParse?.(href)) continue;
    if (match.index > at) found.push({ text: text.slice(at, match.index) });
    found.push({ text: link, href });
    at = match.index + link.length;
  }
  if (at < text.length) found.push({ text: text.slice(at) });
  return found;
}
