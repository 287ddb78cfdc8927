/**
 * The window on the clock, and how it moves. Times in ms.
 *
 * @typedef {{span: number, end: number | null}} View `end` null follows the present
 */

export const ZOOM = 2;
const SHORTEST = 2000;
const LONGEST = 31 * 86400000;

/** @param {View} view @returns {View} */
export function clamp(view) {
  return { ...view, span: Math.min(Math.max(view.span, SHORTEST), LONGEST) };
}

/** Shift by a part of the span. @param {View} view @param {number} part @param {number} now @returns {View} */
export function moved(view, part, now) {
  return { ...view, end: (view.end ?? now) + part * view.span };
}

/**
 * Longer or shorter about a point of the window. One that follows the present goes on following it.
 *
 * @param {View} view @param {number} factor @param {number} at 0 at the left edge, 1 at the right
 * @returns {View}
 */
export function stretched(view, factor, at) {
  const { span } = clamp({ ...view, span: view.span * factor });
  if (view.end === null) return { span, end: null };
  return { span, end: view.end + (1 - at) * (span - view.span) };
}

/** A window pushed past the present follows it. @param {View} view @param {number} now @returns {View} */
export function follow(view, now) {
  return view.end !== null && view.end > now + 0.25 * view.span ? { ...view, end: null } : view;
}
