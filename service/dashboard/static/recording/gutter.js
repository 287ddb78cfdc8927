/**
 * The room left of the time axis: as wide as the lanes' names, within limits; what is longer is shortened.
 *
 * @typedef {import("../core/api.js").Label} Label
 * @typedef {{left: number, names: string[]}} Gutter left in px, a name a lane
 */

const NARROW = 560;
const NARROW_LEAST = 34;
const WIDE = 176;
// Of a narrow figure: the curves are what it is for.
const MOST_PART = 0.3;
// The tick, and the space between it and the name.
const BESIDE = 12;
const MORE = "\u2026";

/** Whether there is room for names and units, or for codes and bare numbers. @param {number} width px */
export const isNarrow = (width) => width < NARROW;

/**
 * @param {Label[]} labels @param {number} width of the figure, px
 * @param {(text: string) => number} measure px
 * @returns {Gutter}
 */
export function gutter(labels, width, measure) {
  const narrow = isNarrow(width);
  const texts = labels.map(({ code, name }) => (narrow ? code : name));
  const widest = Math.ceil(Math.max(0, ...texts.map(measure))) + BESIDE;
  const left = narrow ? Math.min(Math.max(widest, NARROW_LEAST), Math.floor(MOST_PART * width)) : WIDE;
  return { left, names: texts.map((text) => fitted(text, left - BESIDE, measure)) };
}

/** How wide a text is in the figure's letters. @param {string} family @returns {(text: string) => number} px */
export function ruler(family) {
  const context = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  context.font = `12px ${family}`;
  return (text) => context.measureText(text).width;
}

/** @param {string} text @param {number} room px @param {(text: string) => number} measure */
function fitted(text, room, measure) {
  if (measure(text) <= room) return text;
  const letters = [...text];
  while (letters.length > 0 && measure(letters.join("") + MORE) > room) letters.pop();
  return letters.join("").trimEnd() + MORE;
}
