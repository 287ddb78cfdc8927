/** What chooses the source and the window: tells `source` (a name) and `go` (a change of the window). */

import { h } from "../core/dom.js";
import { ZOOM, moved, stretched } from "./window.js";

/**
 * @typedef {import("./window.js").View} View
 * @typedef {{source: string, recorded_at?: string, ended_at?: string, recordings?: number}} Source
 * @typedef {(view: View, now: number) => View} Change
 */

/** @type {[number, string][]} seconds */
const SPANS = [[60, "1 min"], [300, "5 min"], [1800, "30 min"], [3600, "1 h"], [21600, "6 h"], [86400, "1 day"], [604800, "7 days"]];

export class Toolbar extends EventTarget {
  /** @type {HTMLSelectElement} */
  #select;
  #spans;
  #live;

  /** @param {Source} source @param {Source[]} sources @param {() => Promise<Source[]>} ask for the sources there are now */
  constructor(source, sources, ask) {
    super();
    this.#select = h("select", { id: "source", onchange: () => this.#tell("source", this.#select.value), onfocus: async () => this.#offer(await ask().catch(() => [])) });
    this.#offer([source, ...sources]);
    this.#select.value = source.source;
    this.#spans = SPANS.map(([seconds, text]) => this.#button(text, null, (view) => ({ ...view, span: seconds * 1000 })));
    this.#live = this.#button("Follow live", null, (view, now) => ({ ...view, end: view.end === null ? now : null }));
    this.#live.className = "live";
    this.source = h("h1", {}, h("label", { for: "source", class: "unseen" }, "Source"), this.#select);
    this.controls = h("div", { class: "controls" },
      h("div", { class: "segments", role: "group", "aria-label": "Length of the window" }, ...this.#spans),
      h("div", { class: "segments", role: "group", "aria-label": "Move the window" },
        this.#button("\u2190", "Earlier", (view, now) => moved(view, -0.5, now)),
        this.#button("\u2212", "Zoom out", (view) => stretched(view, ZOOM, 0.5)),
        this.#button("+", "Zoom in", (view) => stretched(view, 1 / ZOOM, 0.5)),
        this.#button("\u2192", "Later", (view, now) => moved(view, 0.5, now))),
      this.#live);
  }

  /** @param {View} view */
  show(view) {
    this.#spans.forEach((button, at) => button.setAttribute("aria-pressed", String(SPANS[at][0] * 1000 === Math.round(view.span))));
    this.#live.setAttribute("aria-pressed", String(view.end === null));
  }

  /** @param {Source[]} sources those not offered yet are added */
  #offer(sources) {
    const offered = new Set([...this.#select.options].map((option) => option.value));
    for (const { source } of sources) {
      if (!offered.has(source)) this.#select.append(h("option", { value: source }, source));
      offered.add(source);
    }
  }

  /** @param {string} text @param {string | null} name @param {Change} change */
  #button(text, name, change) {
    return h("button", { type: "button", "aria-label": name, title: name, onclick: () => this.#tell("go", change) }, text);
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
