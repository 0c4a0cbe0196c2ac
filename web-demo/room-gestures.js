/** What fingers and mouse do on the stage: dragging the own tile, swiping to another page. */

/** So far a finger goes before it is a swipe, in CSS pixels. */
const SWIPE = 56;

/**
 * Lets a tile follow the pointer until it is let go.
 *
 * @param {HTMLElement} element @param {import('./room-layout.js').Box} box Where it is.
 * @param {{width: number, height: number}} stage @param {PointerEvent} down
 * @param {(box: import('./room-layout.js').Box) => void} drop Told where it was let go.
 */
export function drag(element, box, { width, height }, down, drop) {
  const end = new AbortController();
  const { signal } = end;
  let moved = { ...box };
  addEventListener('pointermove', (event) => {
    const x = Math.min(width - box.w, Math.max(0, box.x + event.clientX - down.clientX));
    const y = Math.min(height - box.h, Math.max(0, box.y + event.clientY - down.clientY));
    moved = { ...box, x, y };
    element.classList.add('held');
    Object.assign(element.style, { left: `${x}px`, top: `${y}px` });
  }, { signal });
  const release = () => {
    end.abort();
    element.classList.remove('held');
    drop(moved);
  };
  addEventListener('pointerup', release, { signal });
  addEventListener('pointercancel', release, { signal });
}

/** @param {PointerEvent} down @param {(by: 1 | -1) => void} turn Called when it was a swipe. */
export function swipe(down, turn) {
  const end = new AbortController();
  const { signal } = end;
  addEventListener('pointerup', (event) => {
    end.abort();
    const [dx, dy] = [event.clientX - down.clientX, event.clientY - down.clientY];
    if (Math.abs(dx) > SWIPE && Math.abs(dx) > 2 * Math.abs(dy)) turn(dx < 0 ? 1 : -1);
  }, { signal });
  addEventListener('pointercancel', () => end.abort(), { signal });
}
