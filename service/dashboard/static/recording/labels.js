/**
 * Two lines a label, for two decisions. Whether it is heard in a chunk: its score, and from where on it counts.
 * When it is heard: the threshold of its events on a slider, the curve's value at the cursor, the events.
 *
 * @typedef {import("../core/api.js").Label} Label
 * @typedef {import("./document.js").Recording} Recording
 */

import { h, put, swatch } from "../core/dom.js";

export class LabelPanel extends EventTarget {
  /** @type {Map<string, {row: HTMLElement, slider: HTMLInputElement, value: HTMLElement, count: HTMLElement, level: HTMLElement, mark: HTMLElement}>} */
  #rows = new Map();

  /**
   * Tells `threshold` ({code, value}) while a slider moves, `focus` (a code or null), and `reset`.
   *
   * @param {Label[]} labels @param {Recording} recording @param {(code: string) => number} threshold
   */
  constructor(labels, recording, threshold) {
    super();
    const scores = new Map(recording.tags.map((tag) => [tag.label, tag]));
    const rows = labels.map((label) => this.#row(label, scores.get(label.code), threshold(label.code)));
    this.reset = h("button", { type: "button", class: "small", disabled: true, onclick: () => this.#tell("reset", null) }, "Reset thresholds");
    this.element = h("section", { class: "panel labels", "aria-label": "Labels and thresholds" },
      h("div", { class: "labels-head" }, h("h2", {}, "Thresholds"), this.reset),
      h("div", { class: "labels-row names", "aria-hidden": "true" }, ...HEADINGS.map((text) => h("span", {}, text))),
      h("ul", { onmouseleave: () => this.#tell("focus", null) }, ...rows));
  }

  /** @param {Label} label @param {{score: number, active: boolean} | undefined} tag @param {number} threshold */
  #row(label, tag, threshold) {
    const slider = h("input", { type: "range", min: 0, max: 1, step: STEP, value: threshold, "aria-label": `Event threshold of ${label.name}` });
    const value = h("output", { class: "num" });
    say(slider, value, threshold);
    const count = figure("events");
    const now = figure("at the cursor");
    const score = figure(tag?.active ? "chunk score, heard" : "chunk score, not heard");
    const least = figure("is heard from");
    const mark = h("span", {});
    put(score.value, tag?.score.toFixed(2) ?? "\u2013");
    put(least.value, label.threshold?.toFixed(2) ?? "\u2013");
    put(now.value, "\u2013");
    score.element.classList.toggle("active", tag?.active ?? false);
    slider.addEventListener("input", () => {
      say(slider, value, Number(slider.value));
      this.#tell("threshold", { code: label.code, value: Number(slider.value) });
    });
    slider.addEventListener("focus", () => this.#tell("focus", label.code));
    slider.addEventListener("blur", () => this.#tell("focus", null));
    const row = h("li", { class: "labels-row", "data-label": label.code, onmouseenter: () => this.#tell("focus", label.code) },
      h("span", { class: "name", title: label.name }, mark, h("span", { class: "text" }, label.name)), score.element, least.element,
      h("div", { class: "slide" }, slider, value), now.element, count.element);
    this.#rows.set(label.code, { row, slider, value, count: count.value, level: now.value, mark });
    return row;
  }

  /** @param {Map<string, string>} colours by code */
  paint(colours) {
    for (const [code, { row, mark }] of this.#rows) {
      row.style.setProperty("--label", colours.get(code) ?? "");
      put(mark, swatch(colours.get(code) ?? ""));
    }
  }

  /** @param {Map<string, number>} counts of events, by code @param {boolean} touched whether a threshold differs from the model's */
  tell(counts, touched) {
    for (const [code, { count }] of this.#rows) count.textContent = String(counts.get(code) ?? 0);
    this.reset.disabled = !touched;
  }

  /** @param {Map<string, number>} levels of the curves at the cursor, by code; empty where there is no cursor */
  levels(levels) {
    for (const [code, { level }] of this.#rows) level.textContent = levels.get(code)?.toFixed(2) ?? "\u2013";
  }

  /** @param {(code: string) => number} threshold */
  set(threshold) {
    for (const [code, { slider, value }] of this.#rows) {
      slider.value = String(threshold(code));
      say(slider, value, threshold(code));
    }
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const HEADINGS = ["Sound", "Chunk score", "Heard from", "Event from", "At cursor", "Events"];
const STEP = 0.005;

/** @param {HTMLInputElement} slider @param {HTMLElement} output @param {number} threshold */
function say(slider, output, threshold) {
  output.textContent = threshold.toFixed(3);
  slider.setAttribute("aria-valuetext", threshold.toFixed(3));
}

/** A number and, for those who hear the page, what it is. @param {string} name */
function figure(name) {
  const value = h("span", {});
  return { value, element: h("span", { class: "num figure" }, value, h("span", { class: "unseen" }, ` ${name}`)) };
}
