/** Keys and the wheel over the timeline, as changes of its window. */

import { ZOOM, moved, stretched } from "./window.js";

/** @typedef {import("./window.js").View} View */

/** @type {Record<string, import("./toolbar.js").Change>} */
const KEYS = {
  ArrowLeft: (view, now) => moved(view, -0.25, now),
  ArrowRight: (view, now) => moved(view, 0.25, now),
  "+": (view) => stretched(view, 1 / ZOOM, 0.5),
  "=": (view) => stretched(view, 1 / ZOOM, 0.5),
  "-": (view) => stretched(view, ZOOM, 0.5),
  l: (view) => ({ ...view, end: null }),
  End: (view) => ({ ...view, end: null }),
};

/**
 * @param {HTMLElement} plot
 * @param {(change: import("./toolbar.js").Change) => void} go
 */
export function listen(plot, go) {
  plot.addEventListener("keydown", (event) => {
    const change = KEYS[event.key];
    if (!change || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go(change);
  });
  plot.addEventListener("wheel", (event) => {
    const change = ofWheel(event, plot);
    if (!change) return;
    event.preventDefault();
    go(change);
  }, { passive: false });
}

/**
 * With Ctrl it zooms about the pointer, sideways it moves; else the page scrolls.
 *
 * @param {WheelEvent} event @param {HTMLElement} plot
 * @returns {import("./toolbar.js").Change | null}
 */
function ofWheel(event, plot) {
  const { left, width } = plot.getBoundingClientRect();
  if (event.ctrlKey || event.metaKey) return (view) => stretched(view, Math.exp(event.deltaY / 300), (event.clientX - left) / width);
  const along = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
  if (Math.abs(along) <= (event.shiftKey ? 0 : Math.abs(event.deltaY))) return null;
  return (view, now) => moved(view, along / width, now);
}
