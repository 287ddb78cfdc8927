/** What a model card says in its own words: nested members as nested lists. */

import { h } from "../core/dom.js";
import { trimmed } from "../core/format.js";

/** @param {unknown} value @param {string} otherwise what to say of nothing */
export function nested(value, otherwise) {
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) return h("p", { class: "note" }, otherwise);
  return list(value);
}

/** @param {object} value @returns {HTMLElement} */
function list(value) {
  return h("dl", {}, ...Object.entries(value).flatMap(([name, member]) => [
    h("dt", {}, name.replaceAll("_", " ")),
    h("dd", { class: "num" }, isLeaf(member) ? text(member) : list(member)),
  ]));
}

/** @param {unknown} member */
const isLeaf = (member) => typeof member !== "object" || member === null || (Array.isArray(member) && member.every((each) => typeof each !== "object"));

/** @param {unknown} member @returns {string} */
function text(member) {
  if (typeof member === "number") return Number.isInteger(member) ? member.toLocaleString() : trimmed(member, 4);
  if (Array.isArray(member)) return member.map(text).join(", ");
  return member === null ? "\u2013" : String(member);
}
