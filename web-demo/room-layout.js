/**
 * Where tiles go: plain arithmetic without a page. All lengths are CSS pixels; a box is `{x, y, w, h}` from the stage's
 * top left corner.
 *
 * @typedef {{x: number, y: number, w: number, h: number}} Box
 * @typedef {{least: number, most: number}} Ratio Width divided by height that a tile may have.
 */

/** Space between tiles. */
export const GAP = 8;
/** What a camera gives on a computer. */
export const WIDE = { least: 16 / 9, most: 16 / 9 };
/** Narrow phones: faces fit upright pictures better. */
export const UPRIGHT = { least: 4 / 5, most: 16 / 9 };
/** A single tile may take what there is, as long as it cuts off little of the picture. */
const ALONE = { least: 4 / 3, most: 2.1 };
const ALONE_UPRIGHT = { least: 0.45, most: 2.1 };
/** Below this a face is too small to read. */
const LEAST_WIDTH = 176;
const LEAST_WIDTH_UPRIGHT = 140;
/** The most tiles on one page. */
export const MOST = 25;

/** @param {number} width Of the stage. */
export const isNarrow = (width) => width < 560;

/**
 * The largest tiles for so many columns.
 *
 * @param {number} width @param {number} height @param {number} count @param {number} columns @param {Ratio} ratio
 */
function fit(width, height, count, columns, ratio) {
  const rows = Math.ceil(count / columns);
  const cellWidth = (width - GAP * (columns - 1)) / columns;
  const cellHeight = (height - GAP * (rows - 1)) / rows;
  if (cellWidth <= 0 || cellHeight <= 0) return { columns, rows, w: 0, h: 0 };
  const wanted = Math.min(ratio.most, Math.max(ratio.least, cellWidth / cellHeight));
  const w = Math.floor(Math.min(cellWidth, cellHeight * wanted));
  return { columns, rows, w, h: Math.floor(w / wanted) };
}

/** @param {number} width @param {number} height @param {number} count @param {Ratio} ratio */
function best(width, height, count, ratio) {
  let found = fit(width, height, count, 1, ratio);
  // Tiles of any shape show a face as large as their shorter side; tiles of one shape, as large as their area.
  const size = ({ w, h }) => (ratio.least < ratio.most ? Math.min(w, h) : w * h);
  // Where it makes next to no difference, fewer rows look better; wide tiles on a tall stage are the exception.
  const enough = width > height || ratio.least < ratio.most ? 0.95 : 1;
  for (let columns = 2; columns <= count; columns += 1) {
    const next = fit(width, height, count, columns, ratio);
    if (size(next) > size(found) * enough) found = next;
  }
  return found;
}

/**
 * The grid of a stage: the column count that makes tiles largest, and pages where they would become too small. Pages are
 * filled to the end of their last row, about evenly.
 *
 * @param {number} width @param {number} height Of the stage. @param {number} count Tiles in all.
 * @returns {{columns: number, rows: number, w: number, h: number, perPage: number, pages: number}}
 */
export function grid(width, height, count) {
  const narrow = isNarrow(width);
  if (count <= 1) {
    return { ...fit(width, height, 1, 1, narrow ? ALONE_UPRIGHT : ALONE), perPage: 1, pages: 1 };
  }
  const ratio = narrow ? UPRIGHT : WIDE;
  const least = narrow ? LEAST_WIDTH_UPRIGHT : LEAST_WIDTH;
  let most = Math.min(count, MOST);
  while (most > 1 && best(width, height, most, ratio).w < least) most -= 1;
  const plan = best(width, height, Math.ceil(count / Math.ceil(count / most)), ratio);
  // A last row that is not full has room for more of the same size.
  const perPage = Math.min(count, most, plan.columns * plan.rows);
  return { ...plan, perPage, pages: Math.ceil(count / perPage) };
}

/**
 * Boxes for the tiles of one page, centred in the stage, the last row centred too.
 *
 * @param {ReturnType<typeof grid>} plan @param {number} width @param {number} height Of the stage.
 * @param {number} count Tiles on this page. @returns {Box[]}
 */
export function place(plan, width, height, count) {
  const { columns, w, h } = plan;
  const rows = Math.ceil(count / columns);
  const top = Math.floor((height - rows * h - (rows - 1) * GAP) / 2);
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = Math.floor((width - inRow * w - (inRow - 1) * GAP) / 2);
    return { x: left + (index - row * columns) * (w + GAP), y: top + row * (h + GAP), w, h };
  });
}

/**
 * One large tile and a strip of the others: beside it on a wide stage, below it on a tall one.
 *
 * Where a wide screen leaves much of a tall stage free, the others get a grid below it instead of a strip.
 *
 * @param {number} width @param {number} height @param {number} others Tiles in the strip, in all.
 * @param {number} [ratio] Width divided by height of what is shown large, where it must not be cut off.
 * @returns {{main: Box, side: boolean, perPage: number, pages: number, tile: {w: number, h: number},
 *   below?: ReturnType<typeof grid>}}
 */
export function focus(width, height, others, ratio = 0) {
  const narrow = isNarrow(width);
  const side = width >= height * 1.1 && !narrow;
  if (others === 0) return { main: { x: 0, y: 0, w: width, h: height }, side, perPage: 0, pages: 1, tile: { w: 0, h: 0 } };
  const needed = ratio > 0 ? Math.ceil(width / ratio) : height;
  if (!side && needed < height * 0.55) {
    const below = grid(width, height - needed - GAP, others);
    const { perPage, pages, w, h } = below;
    return { main: { x: 0, y: 0, w: width, h: needed }, side, perPage, pages, tile: { w, h }, below };
  }
  const tile = side ? stripTile(height, width * 0.17, others, 9 / 16, [152, 248]) : stripTile(
    // Three squares fit side by side on a phone.
    width, narrow ? (width - 2 * GAP) / 3 : (height * 0.17 * 16) / 9, others, narrow ? 1 : 16 / 9, narrow ? [96, 136] : [152, 256],
  );
  const { w, h, perPage } = tile;
  const main = { x: 0, y: 0, w: side ? width - w - GAP : width, h: side ? height : height - h - GAP };
  return { main, side, perPage, pages: Math.ceil(others / perPage), tile: { w, h } };
}

/**
 * The tiles of a strip: as wide as wished where all fit, smaller where that lets all fit, else on more pages.
 *
 * @param {number} length Of the strip. @param {number} wish Width of a tile. @param {number} others
 * @param {number} along Length of a tile in the strip's direction: its height by its width in a column, and in a row
 *   its width by its height. @param {[number, number]} bounds Of the width.
 */
function stripTile(length, wish, others, along, [least, most]) {
  const inRow = along >= 1;
  const share = (length - GAP * (others - 1)) / others;
  const fitting = inRow ? share : share / along;
  const wanted = Math.min(most, Math.max(least, wish));
  const w = Math.floor(Math.min(wanted, Math.max(least, fitting)));
  const h = Math.round(inRow ? w / along : w * along);
  const perPage = Math.min(others, Math.max(1, Math.floor((length + GAP) / ((inRow ? w : h) + GAP))));
  return { w, h, perPage };
}

/**
 * The largest box of a picture's own shape in the middle of another, so that a screen has no empty bands.
 *
 * @param {Box} box @param {number} ratio Width divided by height; 0 where it is not known yet. @returns {Box}
 */
export function shaped(box, ratio) {
  if (!(ratio > 0)) return box;
  const w = Math.round(Math.min(box.w, box.h * ratio));
  const h = Math.round(Math.min(box.h, box.w / ratio));
  return { x: box.x + Math.floor((box.w - w) / 2), y: box.y + Math.floor((box.h - h) / 2), w, h };
}

/**
 * Boxes of the strip's tiles on one page, centred along it.
 *
 * @param {ReturnType<typeof focus>} plan @param {number} width @param {number} height @param {number} count
 * @returns {Box[]}
 */
export function placeStrip(plan, width, height, count) {
  if (plan.below) {
    const top = plan.main.h + GAP;
    return place(plan.below, width, height - top, count).map((box) => ({ ...box, y: box.y + top }));
  }
  const { w, h } = plan.tile;
  const long = plan.side ? h : w;
  const begin = Math.floor(((plan.side ? height : width) - count * long - (count - 1) * GAP) / 2);
  return Array.from({ length: count }, (_, index) => {
    const along = begin + index * (long + GAP);
    return plan.side ? { x: width - w, y: along, w, h } : { x: along, y: height - h, w, h };
  });
}

/**
 * The small own tile over the stage.
 *
 * @param {number} width @param {number} height Of the stage.
 * @param {string} corner 'top left', 'top right', 'bottom left' or 'bottom right'. @returns {Box}
 */
export function floating(width, height, corner) {
  const narrow = isNarrow(width);
  const w = Math.round(narrow ? Math.min(112, width * 0.3) : Math.min(256, Math.max(176, width * 0.18)));
  const h = Math.round(narrow ? (w * 4) / 3 : (w * 9) / 16);
  const edge = narrow ? 8 : 16;
  return {
    x: corner.endsWith('left') ? edge : width - w - edge,
    y: corner.startsWith('top') ? edge : height - h - edge,
    w,
    h,
  };
}

/** The corner nearest to the middle of a box. @param {Box} box @param {number} width @param {number} height */
export function nearestCorner(box, width, height) {
  const vertical = box.y + box.h / 2 < height / 2 ? 'top' : 'bottom';
  return `${vertical} ${box.x + box.w / 2 < width / 2 ? 'left' : 'right'}`;
}

/**
 * The order of tiles after somebody spoke: who speaks moves to the first page, in exchange for whoever has been quiet
 * there for longest. Nobody else moves.
 *
 * @param {string[]} order Keys of tiles. @param {string} speaker @param {number} perPage
 * @param {(key: string) => number} lastSpoke When a tile's person last spoke; Infinity for who must not move.
 * @returns {string[]} The same list where nothing changes.
 */
export function promote(order, speaker, perPage, lastSpoke) {
  const at = order.indexOf(speaker);
  if (at < perPage) return order;
  let out = 0;
  for (let index = 1; index < perPage; index += 1) {
    // From the back: of two who were quiet equally long, the first one stays.
    if (lastSpoke(order[index]) <= lastSpoke(order[out])) out = index;
  }
  if (lastSpoke(order[out]) === Infinity) return order;
  const next = [...order];
  [next[out], next[at]] = [speaker, order[out]];
  return next;
}
