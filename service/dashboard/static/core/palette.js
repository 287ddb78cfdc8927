/**
 * A colour a label: Okabe and Ito's set, which the colour-blind can tell apart, with yellow and black
 * replaced, each shifted in lightness until it stands 3:1 from the ground of its theme (WCAG 1.4.11).
 * A label is never told by its colour alone: it has its lane, its name or its row.
 *
 * @typedef {import("./api.js").Label} Label
 * @typedef {import("./theme.js").ThemeName} ThemeName
 */

/** @type {Record<ThemeName, string[]>} blue, orange, purple, green, sky, vermilion, ochre */
const COLOURS = {
  light: ["#0072B2", "#C48700", "#C05F95", "#008F68", "#2C97D6", "#D55E00", "#7A6000"],
  dark: ["#2F8FCE", "#E69F00", "#CC79A7", "#14AE82", "#7CC7F0", "#E06A12", "#B08F1E"],
};

/**
 * @param {Label[]} labels in the model's order
 * @param {ThemeName} theme
 * @returns {Map<string, string>} by code; a larger vocabulary begins again
 */
export function palette(labels, theme) {
  const colours = COLOURS[theme];
  return new Map(labels.map((label, index) => [label.code, colours[index % colours.length]]));
}
