/** The microphone live: what it hears, in the figure of a recording that goes on. */

import { h, put } from "../core/dom.js";
import { failure } from "../core/notice.js";
import { palette } from "../core/palette.js";
import { href } from "../core/route.js";
import { RecordingChart } from "../recording/chart.js";
import { EventList } from "../recording/events.js";
import { Capture } from "./capture.js";
import { Live } from "./live.js";
import { Socket } from "./socket.js";
import { sourceField } from "./source.js";

const SHOWN_S = 20;
const DRAW_MS = 250;
// Full deflection of the level at -6 dB, none at -60.
const QUIETEST_DB = -60;
const LOUDEST_DB = -6;

export class MicrophoneForm {
  /** @type {Capture | null} */
  #capture = null;
  /** @type {Socket | null} */
  #socket = null;
  #live = new Live();
  #drawing = 0;
  #fresh = false;

  /** @param {import("../main.js").Context} context @param {import("../core/route.js").Route} route */
  constructor(context, route) {
    this.context = context;
    this.labels = context.model.labels.filter((label) => label.scored !== false);
    this.source = sourceField(route.params.get("source"));
    this.keep = h("input", { type: "checkbox", id: "keep", checked: true });
    this.button = h("button", { type: "button", class: "strong listen", onclick: () => this.#toggle() }, "Listen");
    this.state = h("span", { class: "feed-state", role: "status", "data-state": "still" }, "Not listening");
    this.level = h("div", { class: "level", "aria-hidden": "true" }, h("span", {}));
    this.trouble = h("div", { class: "progress" });
    this.chart = new RecordingChart();
    this.list = new EventList();
    this.heard = h("div", { class: "heard", hidden: true }, h("section", { class: "panel chart", "aria-label": "What is heard" }, this.chart.element), this.list.element);
    this.element = h("div", { class: "view" },
      h("section", { class: "panel ask" },
        h("p", { class: "note" }, "The sound goes to the service while it is heard and is then forgotten: only what was heard in it is kept."),
        h("div", { class: "options" }, this.source.element, h("label", { class: "check" }, this.keep, "Keep what is heard in the timeline")),
        h("div", { class: "row" }, this.button, this.state, this.level), this.trouble),
      this.heard);
    this.redraw = () => { this.#fresh = true; };
    this.sizes = new ResizeObserver(this.redraw);
    this.sizes.observe(this.chart.plot);
    context.theme.addEventListener("change", this.redraw);
  }

  stop() {
    this.#silence();
    this.#socket?.abandon();
    clearInterval(this.#drawing);
    this.sizes.disconnect();
    this.context.theme.removeEventListener("change", this.redraw);
    this.chart.dispose();
  }

  async #toggle() {
    if (this.#capture) {
      this.#finish();
      return;
    }
    if (!this.source.check()) return;
    put(this.trouble);
    this.#live = new Live();
    const capture = new Capture();
    this.#capture = capture;
    this.#face(true);
    try {
      const rate = await capture.start((block) => this.#hear(block), (error) => {
        if (this.#capture !== capture) return;
        this.#finish();
        put(this.trouble, failure(error));
      });
      if (this.#capture !== capture) capture.stop();
      else this.#connect(rate);
    } catch (error) {
      // Who has pressed Stop meanwhile, and perhaps Listen again, waits for it no more.
      if (this.#capture !== capture) return;
      this.#silence();
      put(this.trouble, failure(error));
    }
  }

  /** No more is heard; what was is settled. */
  #finish() {
    this.#silence();
    this.#socket?.end();
  }

  /** @param {number} rate Hz */
  #connect(rate) {
    const before = this.#socket;
    this.#socket = null;
    before?.abandon();
    const socket = new Socket(this.context.api, { source: this.source.value, sample_rate: rate, store: this.keep.checked });
    socket.addEventListener("state", () => { if (socket === this.#socket) this.#tell(socket); });
    socket.addEventListener("message", (event) => {
      if (socket !== this.#socket) return;
      this.#live.take(/** @type {CustomEvent} */ (event).detail);
      this.#fresh = true;
    });
    this.#socket = socket;
    this.heard.hidden = false;
    clearInterval(this.#drawing);
    this.#drawing = window.setInterval(() => this.#draw(), DRAW_MS);
    socket.open();
  }

  /** @param {import("./capture.js").Block} block */
  #hear({ pcm, level }) {
    this.#socket?.send(pcm);
    const decibels = 20 * Math.log10(Math.max(level, 1e-6));
    const part = Math.min(Math.max((decibels - QUIETEST_DB) / (LOUDEST_DB - QUIETEST_DB), 0), 1);
    /** @type {HTMLElement} */ (this.level.firstElementChild).style.transform = `scaleX(${part})`;
  }

  #silence() {
    this.#capture?.stop();
    this.#capture = null;
    this.#face(false);
    /** @type {HTMLElement} */ (this.level.firstElementChild).style.transform = "scaleX(0)";
  }

  /** @param {boolean} listening */
  #face(listening) {
    this.button.textContent = listening ? "Stop" : "Listen";
    this.button.setAttribute("aria-pressed", String(listening));
    for (const field of [this.source.input, this.keep]) field.disabled = listening;
    if (!listening && this.#socket?.state !== "open") this.#say("still", "Not listening");
  }

  /** @param {Socket} socket */
  #tell(socket) {
    const { state, reason, handshake } = socket;
    if (state === "open") this.#say("live", this.#capture ? "Listening" : "Settling what was heard");
    else if (state === "waiting") this.#say("waiting", `${reason || "Connection lost."} Trying again`);
    else if (state === "connecting") this.#say("loading", "Connecting");
    else {
      this.#say("still", "Not listening");
      if (socket.error) {
        this.#silence();
        put(this.trouble, failure(socket.error));
      }
      if (handshake.store) this.trouble.append(h("p", {}, h("a", { href: href("timeline", "", { source: handshake.source }) }, `Timeline of ${handshake.source}`)));
    }
  }

  /** @param {string} state @param {string} text */
  #say(state, text) {
    this.state.dataset.state = state;
    this.state.textContent = text;
  }

  #draw() {
    if (!this.#fresh || document.hidden) return;
    this.#fresh = false;
    const { theme } = this.context;
    const recording = this.#live.recording();
    const colours = palette(this.labels, theme.name);
    const until = Math.max(recording.duration, SHOWN_S);
    this.list.show([...recording.events].reverse(), this.labels, colours);
    this.chart.draw({
      recording, labels: this.labels, kind: "presence", events: recording.events, range: [until - SHOWN_S, until], picture: null, live: true,
      focus: null, thresholds: null, colours, theme: theme.name, tones: theme.tones,
    }).catch((error) => put(this.trouble, failure(error)));
  }
}
