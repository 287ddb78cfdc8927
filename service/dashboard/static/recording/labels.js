/**
 * A row a label: its name, its score, the curve's value at the cursor, its threshold on a slider, its events.
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
      h("div", { class: "labels-row names", "aria-hidden": "true" }, h("span", {}, "Sound"), h("span", {}, "Score"), h("span", {}, "At cursor"), h("span", {}, "Events")),
      h("ul", { onmouseleave: () => this.#tell("focus", null) }, ...rows));
  }

  /** @param {Label} label @param {{score: number, active: boolean} | undefined} tag @param {number} threshold */
  #row(label, tag, threshold) {
    const slider = h("input", { type: "range", min: 0, max: STEPS, step: 1, value: toSlider(threshold), "aria-label": `Threshold of ${label.name}` });
    const value = h("output", { class: "num", title: "Threshold" });
    say(slider, value, threshold);
    const count = figure("events");
    const now = figure("at the cursor");
    const score = figure(tag?.active ? "score, heard" : "score, not heard");
    const mark = h("span", {});
    put(score.value, tag ? tag.score.toFixed(2) : "\u2013");
    put(now.value, "\u2013");
    score.element.classList.toggle("active", tag?.active ?? false);
    slider.addEventListener("input", () => {
      const moved = fromSlider(Number(slider.value));
      say(slider, value, moved);
      this.#tell("threshold", { code: label.code, value: moved });
    });
    slider.addEventListener("focus", () => this.#tell("focus", label.code));
    slider.addEventListener("blur", () => this.#tell("focus", null));
    const row = h("li", { class: "labels-row", "data-label": label.code, onmouseenter: () => this.#tell("focus", label.code) },
      h("span", { class: "name", title: label.name }, mark, h("span", { class: "text" }, label.name)), score.element, now.element, count.element, h("div", { class: "slide" }, slider, value));
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
      slider.value = String(toSlider(threshold(code)));
      say(slider, value, threshold(code));
    }
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// From 0.0001 to 1 in equal ratios: presence is often small, and there a hundredth is much.
const STEPS = 400;
const DECADES = 4;

/** @param {number} threshold */
const toSlider = (threshold) => Math.round(STEPS * (1 + Math.log10(Math.max(threshold, 1e-9)) / DECADES));

/** @param {number} place @returns {number} as it is shown */
const fromSlider = (place) => Number(shown(10 ** (DECADES * (place / STEPS - 1))));

/** @param {number} threshold */
const shown = (threshold) => threshold.toFixed(threshold < 0.01 ? 4 : 3);

/** @param {HTMLInputElement} slider @param {HTMLElement} output @param {number} threshold */
function say(slider, output, threshold) {
  output.textContent = shown(threshold);
  slider.setAttribute("aria-valuetext", shown(threshold));
}

/** A number and, for those who hear the page, what it is. @param {string} name */
function figure(name) {
  const value = h("span", {});
  return { value, element: h("span", { class: "num figure" }, value, h("span", { class: "unseen" }, ` ${name}`)) };
}
