/** Paragraphs of a model card: the little Markdown that they are written in, made of elements and never parsed as markup. */

import { h } from "../core/dom.js";

const BETWEEN = /\n\s*\n/;
const MARKED = /\*\*(.+?)\*\*|`([^`]+)`/s;

/** More than one paragraph. @param {unknown} value @returns {value is string} */
export const isProse = (value) => typeof value === "string" && BETWEEN.test(value.trim());

/** @param {string} text @returns {HTMLElement} */
export function prose(text) {
  return h("div", { class: "prose" }, ...text.trim().split(BETWEEN).map((paragraph) => h("p", {}, ...marked(paragraph))));
}

/** Bold and code, one by one; all else is text. @param {string} text @returns {(Node | string)[]} */
function marked(text) {
  const found = MARKED.exec(text);
  if (!found) return [text];
  const [whole, bold, code] = found;
  const element = bold === undefined ? h("code", {}, code) : h("strong", {}, ...marked(bold));
  return [text.slice(0, found.index), element, ...marked(text.slice(found.index + whole.length))];
}
