// @ts-check
/**
 * Which track is shown in which slot: the planning alone, without elements or connections.
 */

/** Sizes are told in steps of so many device pixels. */
const SIZE_STEP = 16;
/** A size that differs by less than this share from what was told is not worth another view. */
const SIZE_WORTH = 0.1;

/**
 * A track that somebody wants to see.
 *
 * @typedef {object} Wish
 * @property {string} track Its id.
 * @property {number} w Width of the largest element that shows it, in device pixels. @property {number} h Height.
 * @property {number} priority 0 least, 1 as the others, more is more.
 * @property {boolean} muted Nothing comes of it at present.
 */

/**
 * @typedef {object} Plan
 * @property {Map<string, string>} slots Track by slot; a slot that is not in it is empty.
 * @property {string[]} without Tracks for which there is no slot.
 */

/**
 * A track stays in the slot that it has; others go to slots that are empty now, and only then to slots that lose theirs.
 * When there are too few slots, tracks that are muted go without first, then those of less priority, then smaller ones.
 *
 * @param {string[]} slots All slots.
 * @param {ReadonlyMap<string, string>} now Track by slot, as it is.
 * @param {Wish[]} wishes
 * @returns {Plan}
 */
export function planSlots(slots, now, wishes) {
  const ranked = wishes
    .map((wish, order) => ({ ...wish, order }))
    .sort(
      (a, b) =>
        Number(a.muted) - Number(b.muted) || b.priority - a.priority || b.w * b.h - a.w * a.h || a.order - b.order,
    );
  const seen = new Set(ranked.slice(0, slots.length).map((wish) => wish.track));
  const without = ranked.slice(slots.length).map((wish) => wish.track);
  /** @type {Map<string, string>} */
  const plan = new Map();
  for (const slot of slots) {
    const track = now.get(slot);
    if (track === undefined || !seen.delete(track)) continue;
    plan.set(slot, track);
  }
  const free = slots.filter((slot) => !plan.has(slot));
  const empty = free.filter((slot) => !now.has(slot));
  const losing = free.filter((slot) => now.has(slot));
  // A Set keeps the order of rank.
  for (const track of seen) {
    const slot = empty.shift() ?? losing.shift();
    if (slot !== undefined) plan.set(slot, track);
  }
  return { slots: plan, without };
}

/**
 * The `view` message of a plan.
 *
 * @param {ReadonlyMap<string, string>} plan Track by slot.
 * @param {Wish[]} wishes
 * @param {string[]} listened Audio tracks that are to be heard whoever else speaks.
 * @param {ReadonlyMap<string, {w: number, h: number}>} [told] What the view before this one said, by track.
 * @returns {import('./protocol.js').View}
 */
export function viewOf(plan, wishes, listened, told = new Map()) {
  const byTrack = new Map(wishes.map((wish) => [wish.track, wish]));
  const slots = [...plan].map(([mid, track]) => {
    const wish = byTrack.get(track);
    const size = sizeToTell({ w: stepped(wish?.w ?? 0), h: stepped(wish?.h ?? 0) }, told.get(track));
    const priority = wish?.priority ?? 1;
    return priority === 1 ? { mid, track, ...size } : { mid, track, ...size, priority };
  });
  return { slots, audio: { tracks: listened, auto: true } };
}

/** @param {{w: number, h: number}} size @param {{w: number, h: number} | undefined} told */
function sizeToTell({ w, h }, told) {
  if (!told) return { w, h };
  const isNear = Math.abs(w - told.w) < SIZE_WORTH * told.w && Math.abs(h - told.h) < SIZE_WORTH * told.h;
  return isNear ? { w: told.w, h: told.h } : { w, h };
}

/** @param {number} pixels */
function stepped(pixels) {
  return Math.ceil(pixels / SIZE_STEP) * SIZE_STEP;
}

/** How long a slot that tells nothing by contributing sources is kept hidden after it was bound, in milliseconds. */
export const BLIND_MS = 400;

/**
 * What is known of a slot at a moment.
 *
 * @typedef {object} Evidence
 * @property {{source: number, timestamp: number, rtpTimestamp?: number}[]} contributing `getContributingSources()` of
 *   its receiver.
 * @property {number | null} lastFrame When the receiver last had media, on the clock of `now`; null where it does not tell.
 * @property {number | null} boundAt When the server said that the track is bound to the slot; null while it has not.
 */

/**
 * Whether a slot has begun to carry the track that it shall show. Packets name their track as contributing source, which
 * is certain. Where a browser does not tell them, time has to do: what was on its way before the slot was bound has been
 * shown by then.
 *
 * @param {number} csrc The track's contributing source.
 * @param {Evidence} evidence
 * @param {number} now
 * @returns {{from: number | null} | null} Null while it has not. `from`: RTP timestamp of a frame that is the track's, as
 *   are all after it; null where the browser does not tell.
 */
export function carries(csrc, evidence, now) {
  const newest = newestSource(evidence.contributing);
  if (newest) return newest.source === csrc ? { from: newest.rtpTimestamp ?? null } : null;
  const { boundAt, lastFrame } = evidence;
  const isOver = boundAt !== null && now - boundAt >= BLIND_MS && (lastFrame ?? Infinity) > boundAt;
  return isOver ? { from: null } : null;
}

/** @param {Evidence['contributing']} sources */
function newestSource(sources) {
  let newest = null;
  for (const source of sources) if (newest === null || source.timestamp > newest.timestamp) newest = source;
  return newest;
}

/** So many frames are let pass where their RTP timestamps are not told: what was on its way, and what is to be seen. */
const BLIND_FRAMES = 2;

/**
 * Whether the frame that an element presents is of the track. A frame that was on its way when the slot changed hands
 * comes after the slot has begun to carry the new track.
 *
 * @param {number | null} from As `carries()` told it.
 * @param {number | undefined} rtpTimestamp Of the frame.
 * @param {number} count How many frames the element has presented since, this one among them.
 */
export function isOfTrack(from, rtpTimestamp, count) {
  if (from === null || rtpTimestamp === undefined) return count >= BLIND_FRAMES;
  // RTP timestamps have 32 bits and wrap around (RFC 3550 section 5.1).
  return (rtpTimestamp - from) >>> 0 < 2 ** 31;
}
