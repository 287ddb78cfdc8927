/**
 * What a model card says in its own words. Its shape is free, so this goes by form: records alike are a table,
 * an interval is a number with its bounds, what lies deeper is folded, prose comes last, below what it speaks of.
 */

import { h } from "../core/dom.js";
import { trimmed } from "../core/format.js";
import { isProse, prose } from "./prose.js";

/** @typedef {Record<string, unknown>} Members */

/** @param {unknown} value @param {string} otherwise what to say of nothing */
export function nested(value, otherwise) {
  if (!isMembers(value) || Object.keys(value).length === 0) return h("p", { class: "note" }, otherwise);
  return list(value, 0);
}

/** @param {Members} members @param {number} depth @returns {HTMLElement} */
function list(members, depth) {
  const entries = Object.entries(members);
  const folded = entries.filter(([, member]) => !isLeaf(member));
  const leaves = entries.filter(([, member]) => isLeaf(member) && !isProse(member));
  const told = entries.filter(([, member]) => isProse(member));
  return h("div", { class: "nested" },
    leaves.length > 0 && h("dl", {}, ...leaves.flatMap(([name, member]) => [h("dt", {}, spoken(name)), h("dd", { class: "num" }, text(member))])),
    ...folded.map(([name, member]) => fold(name, /** @type {Members} */ (member), depth)),
    ...told.flatMap(([name, member]) => [h("h3", {}, spoken(name)), prose(/** @type {string} */ (member))]));
}

/** @param {string} name @param {Members | unknown[]} member @param {number} depth */
function fold(name, member, depth) {
  const members = Array.isArray(member) ? Object.fromEntries(member.map((each, at) => [String(at + 1), each])) : member;
  const hint = meanOf(members);
  // A container of containers shows what is in it; numbers wait until they are asked for.
  const open = depth === 0 && Object.values(members).every((each) => !isLeaf(each));
  return h("details", { open },
    h("summary", {}, spoken(name), hint && h("span", { class: "note num" }, hint)),
    areAlike(members) ? table(members) : list(members, depth + 1));
}

/** @param {Members} rows */
function table(rows) {
  const columns = Object.keys(/** @type {Members} */ (Object.values(rows)[0]));
  return h("div", { class: "wide-table", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", {}), ...columns.map((name) => h("th", { scope: "col", class: "end" }, spoken(name))))),
    h("tbody", {}, ...Object.entries(rows).map(([name, row]) => h("tr", {}, h("th", { scope: "row" }, spoken(name)),
      ...columns.map((column) => h("td", { class: "num end" }, text(/** @type {Members} */ (row)[column]))))))));
}

/** The first of its own figures that calls itself a mean: what one wants to know first. @param {Members} members @returns {string | null} */
function meanOf(members) {
  const found = Object.entries(members).find(([name, value]) => name.startsWith("mean") && isLeaf(value));
  return found ? `${spoken(found[0])} ${text(found[1])}` : null;
}

/** @param {unknown} member @returns {member is Members} */
const isMembers = (member) => typeof member === "object" && member !== null && !Array.isArray(member);

/** @param {unknown} member @returns {member is {value: number, low: number, high: number}} */
const isInterval = (member) => isMembers(member) && Object.keys(member).sort().join() === "high,low,value";

/** @param {unknown} member */
function isLeaf(member) {
  if (Array.isArray(member)) return member.every((each) => typeof each !== "object");
  return !isMembers(member) || isInterval(member) || Object.keys(member).length === 0;
}

/** Two records or more with the same members, none of them nested. @param {Members} members */
function areAlike(members) {
  const rows = Object.values(members);
  const shape = (/** @type {unknown} */ row) => (isMembers(row) && !isInterval(row) && Object.values(row).every(isLeaf) ? Object.keys(row).join() : null);
  return rows.length > 1 && shape(rows[0]) !== null && rows.every((row) => shape(row) === shape(rows[0]));
}

/** @param {string} name */
const spoken = (name) => name.replaceAll("_", " ");

/** @param {unknown} member @returns {string} */
function text(member) {
  if (isInterval(member)) return `${member.value.toFixed(3)} (${member.low.toFixed(3)}\u2013${member.high.toFixed(3)})`;
  if (typeof member === "number") return Number.isInteger(member) ? member.toLocaleString() : trimmed(member, 4);
  if (Array.isArray(member)) return member.map(text).join(member.some((each) => /[.!?]$/.test(String(each))) ? " " : ", ");
  return member === null || isMembers(member) ? "\u2013" : String(member);
}
