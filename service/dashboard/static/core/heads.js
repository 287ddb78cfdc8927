/**
 * Headings of a list of events that flows into columns: a line for each column there may be; CSS cuts off those
 * that find none. Those who hear the page are told in each row what its numbers are.
 */

import { h, put } from "./dom.js";

const MOST_COLUMNS = 6;

export class Heads {
  element = h("div", { class: "log-heads", "aria-hidden": "true" });

  /** @param {() => import("./dom.js").Child[]} when what a row begins with, for its heading has its width @param {number} rows */
  show(when, rows) {
    put(this.element, ...Array.from({ length: Math.min(rows, MOST_COLUMNS) }, () => h("div", { class: "log-row" },
      h("span", { class: "when num" }, h("span", { class: "ghost" }, ...when()), h("span", {}, "When")),
      h("span", { class: "name" }, h("span", { class: "swatch" }), "Sound"), h("span", { class: "num" }, "Length"), h("span", { class: "num" }, "Confidence"))));
  }
}
