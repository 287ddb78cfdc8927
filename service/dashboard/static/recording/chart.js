/**
 * The figure on the page: drawing, zooming, and the cursor that all rows share.
 *
 * Tells `range` ([since, until] in seconds) when a drag zooms and `cursor` (seconds or null) as it moves.
 *
 * @typedef {import("./figure.js").Scene} Scene
 */

import { h } from "../core/dom.js";
import { position } from "../core/format.js";
import { CONFIG, plotly } from "../core/plotly.js";
import { frame, heights, margins, traces } from "./figure.js";
import { gutter, ruler } from "./gutter.js";

export class RecordingChart extends EventTarget {
  /** @type {any} */
  #plotly = null;
  /** @type {Scene | null} */
  #scene = null;
  /** @type {number | null} */
  cursor = null;
  plot = h("div", { class: "traces-plot", tabindex: "0", role: "group", "aria-label": "Spectrogram, curves and events on one time axis", "aria-describedby": "traces-keys" });
  #line = h("div", { class: "cursor", hidden: true }, h("span", {}));
  element = h("div", { class: "traces" }, this.plot, this.#line);

  constructor() {
    super();
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.moveCursor(null));
  }

  /** @param {Omit<Scene, "width" | "gutter">} scene */
  async draw(scene) {
    this.#plotly ??= await plotly();
    const width = this.plot.clientWidth;
    if (width === 0) return;
    this.#scene = { ...scene, width, gutter: gutter(scene.labels, width, ruler(scene.tones.sans)) };
    this.plot.style.height = `${heights(scene).all}px`;
    await this.#plotly.react(this.plot, traces(this.#scene), frame(this.#scene), CONFIG);
    if (!this.plot.dataset.wired) this.#wire();
    this.#place();
  }

  dispose() {
    if (this.#plotly) this.#plotly.purge(this.plot);
  }

  /** @param {number | null} seconds */
  moveCursor(seconds) {
    this.cursor = seconds;
    this.#place();
    this.dispatchEvent(new CustomEvent("cursor", { detail: seconds }));
  }

  /** Seconds at a place on the screen. @param {number} clientX @returns {number | null} */
  at(clientX) {
    if (!this.#scene) return null;
    const { range, width } = this.#scene;
    const { l, r } = margins(this.#scene);
    const part = (clientX - this.plot.getBoundingClientRect().left - l) / (width - l - r);
    return part < 0 || part > 1 ? null : range[0] + part * (range[1] - range[0]);
  }

  /** @param {PointerEvent} event */
  #point(event) {
    if (event.buttons === 0) this.moveCursor(this.at(event.clientX));
  }

  #place() {
    const scene = this.#scene;
    const hidden = scene === null || this.cursor === null || this.cursor < scene.range[0] || this.cursor > scene.range[1];
    this.#line.hidden = hidden;
    if (hidden || scene === null || this.cursor === null) return;
    const { l, r } = margins(scene);
    const part = (this.cursor - scene.range[0]) / (scene.range[1] - scene.range[0]);
    // Not across the line that stands for a spectrogram.
    this.#line.style.top = `${heights(scene).first}px`;
    this.#line.style.transform = `translateX(${l + part * (scene.width - l - r)}px)`;
    this.#line.dataset.side = part > 0.5 ? "left" : "right";
    /** @type {Element} */ (this.#line.firstElementChild).textContent = position(this.cursor);
  }

  #wire() {
    this.plot.dataset.wired = "yes";
    const chart = /** @type {any} */ (this.plot);
    chart.on("plotly_relayout", (/** @type {Record<string, number>} */ change) => {
      const range = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (range[0] !== undefined && range[1] !== undefined) this.dispatchEvent(new CustomEvent("range", { detail: range.map(Number) }));
    });
    chart.on("plotly_doubleclick", () => this.dispatchEvent(new CustomEvent("range", { detail: null })));
  }
}
