/** The recording view: one recording, what was heard in it and why. */

import { counted, full, position, span } from "../core/format.js";
import { h, put, swatch } from "../core/dom.js";
import { palette } from "../core/palette.js";
import { amend, href } from "../core/route.js";
import { RecordingChart } from "./chart.js";
import { curves, frameAt, labelsOf, read, resolution } from "./document.js";
import { EventList } from "./events.js";
import { attentionFloor } from "./figure.js";
import { LabelPanel } from "./labels.js";
import { player } from "./player.js";
import { picture } from "./spectrogram.js";
import { Thresholds } from "./thresholds.js";

/**
 * @typedef {import("../main.js").Context} Context
 * @typedef {import("./document.js").Recording} Recording
 * @typedef {import("./document.js").Kind} Kind
 */

/** @type {[Kind, string, string][]} */
const KINDS = [
  ["presence", "Presence", "How sure the network is that a sound is there; events are decoded from it."],
  ["localization", "Localization", "How the network divides each frame among the sounds."],
  ["attention", "Attention", "How much each frame mattered at all."],
];
const SHORTEST_S = 0.05;
const AROUND_S = 30;

/** @param {HTMLElement} host @param {Context} context @param {import("../core/route.js").Route} route */
export async function mount(host, context, route) {
  const recording = context.analyses.get(route.id) ?? (await stored(context, route.id));
  const view = new RecordingView(host, context, recording, route);
  view.start();
  return () => view.stop();
}

/** @param {Context} context @param {string} id @returns {Promise<Recording>} */
async function stored(context, id) {
  const path = `localize/${encodeURIComponent(id)}`;
  const { duration } = await context.api.get(path, { include: "none" });
  return read(await context.api.get(path, { resolution: resolution(duration, context.model) }));
}

class RecordingView {
  /** @param {HTMLElement} host @param {Context} context @param {Recording} recording @param {import("../core/route.js").Route} route */
  constructor(host, context, recording, route) {
    this.context = context;
    this.recording = recording;
    this.route = route;
    this.labels = labelsOf(recording, context.model.labels);
    this.thresholds = new Thresholds(recording, context.model.events);
    /** @type {Kind} */
    this.kind = KINDS.map(([kind]) => kind).find((kind) => kind === route.params.get("curve")) ?? "presence";
    /** @type {[number, number]} */
    this.range = [0, recording.duration];
    /** @type {string | null} */
    this.focus = null;
    this.chart = new RecordingChart();
    this.panel = new LabelPanel(this.labels, recording, (code) => this.thresholds.value(code));
    this.list = new EventList();
    this.about = h("p", { class: "note" });
    /** @type {number | undefined} */
    this.pending = undefined;
    this.player = player(recording.sound, this.chart);
    put(host, this.frame());
  }

  frame() {
    const { recording } = this;
    const facts = [full(recording.recordedAt), span(recording.duration), `${recording.sampleRate / 1000} kHz`,
      counted(recording.channels, "channel"), `${recording.model.name} ${recording.model.version}`];
    const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) =>
      h("button", { type: "button", "aria-label": name, title: name, onclick: act }, text);
    return h("div", { class: "view recording" },
      h("div", { class: "head" },
        h("div", {},
          h("p", { class: "sub" }, h("a", { href: href("timeline", "", { source: recording.source, span: Math.max(60, 4 * recording.duration), end: new Date(recording.recordedAt + 2500 * recording.duration).toISOString() }) }, `Timeline of ${recording.source}`)),
          h("h1", {}, this.heading()),
          h("p", { class: "sub num" }, facts.join(" \u00b7 "))),
        h("div", { class: "controls" },
          h("div", { class: "segments", role: "radiogroup", "aria-label": "Curves" }, ...KINDS.map(([kind, name]) => this.choice(kind, name))),
          h("div", { class: "segments", role: "group", "aria-label": "Zoom" },
            button("\u2212", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5)), button("Fit", "Whole recording", () => this.show(null))))),
      recording.warnings.length > 0 && h("ul", { class: "warnings" }, ...recording.warnings.map((text) => h("li", {}, text))),
      h("div", { class: "sheet-of-recording" },
        h("section", { class: "panel chart", "aria-label": "Recording" },
          this.chart.element,
          !recording.spectrogram && h("p", { class: "no-picture" }, recording.id ? "No spectrogram: what was heard is kept, never the sound." : "No spectrogram came with this analysis."),
          this.player,
          this.coarse(),
          h("p", { class: "note keys", id: "traces-keys" }, this.about,
            h("span", { class: "wide" }, "Drag across to zoom, double click to see all. Arrow keys move the cursor, Shift and arrows the window, + and \u2212 zoom."))),
        this.panel.element),
      this.list.element);
  }

  /** An hour's curves come as means over several frames: whoever reads them or decodes from them is told. */
  coarse() {
    const { hop } = this.recording.grid;
    const frames = Math.round((hop * this.context.model.sample_rate) / this.context.model.hop);
    if (frames <= 1) return null;
    return h("p", { class: "note coarse" },
      `A long recording: each point of the curves is the mean of ${frames} frames, ${span(hop)}. Events are exact until a threshold is moved, then as coarse as the curves.`);
  }

  heading() {
    const heard = this.recording.tags.filter((tag) => tag.active);
    if (heard.length === 0) return "Nothing recognised";
    const colours = palette(this.labels, this.context.theme.name);
    return heard.map((tag) => h("span", { class: "tag" }, swatch(colours.get(tag.label) ?? ""), tag.name));
  }

  /** @param {Kind} kind @param {string} name */
  choice(kind, name) {
    const input = h("input", { type: "radio", name: "curve", value: kind, checked: this.kind === kind, onchange: () => {
      this.kind = kind;
      amend(href("recording", this.route.id, { ...Object.fromEntries(this.route.params), curve: kind }));
      this.draw();
    } });
    return h("label", {}, input, name);
  }

  start() {
    this.chart.addEventListener("range", (event) => this.show(/** @type {CustomEvent} */ (event).detail));
    this.chart.addEventListener("cursor", () => this.tellCursor());
    this.chart.plot.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("show", (event) => this.showEvent(/** @type {CustomEvent} */ (event).detail));
    this.panel.addEventListener("focus", (event) => this.lookAt(/** @type {CustomEvent} */ (event).detail));
    this.panel.addEventListener("threshold", (event) => {
      const { code, value } = /** @type {CustomEvent} */ (event).detail;
      this.thresholds.move(code, value);
      this.drawSoon();
    });
    this.panel.addEventListener("reset", () => {
      this.thresholds.reset();
      this.panel.set((code) => this.thresholds.value(code));
      this.draw();
    });
    this.sizes = new ResizeObserver(() => this.drawSoon());
    this.sizes.observe(this.chart.plot);
    this.redraw = () => { this.paint(); this.draw(); };
    this.context.theme.addEventListener("change", this.redraw);
    this.paint();
    this.goToMoment();
    this.draw();
  }

  stop() {
    this.sizes?.disconnect();
    if (this.redraw) this.context.theme.removeEventListener("change", this.redraw);
    this.chart.dispose();
  }

  /** Coming from an event of the timeline: the cursor stands at its onset. */
  goToMoment() {
    const at = (Number(this.route.params.get("at")) - this.recording.recordedAt) / 1000;
    if (!(at >= 0 && at <= this.recording.duration)) return;
    this.chart.moveCursor(at);
    // In an hour a second is nothing: what was clicked shall be seen.
    if (this.recording.duration > 2 * AROUND_S) this.show([at - AROUND_S / 3, at + (2 * AROUND_S) / 3]);
  }

  paint() {
    const { name } = this.context.theme;
    this.picture = this.recording.spectrogram ? picture(this.recording.spectrogram, name) : null;
    this.panel.paint(palette(this.labels, name));
  }

  /** At most once a frame: a slider moves faster than that. */
  drawSoon() {
    this.pending ??= requestAnimationFrame(() => { this.pending = undefined; this.draw(); });
  }

  draw() {
    const { theme } = this.context;
    const events = this.thresholds.events();
    const decoder = this.focus === null ? null : this.thresholds.decoder(this.focus);
    const counts = new Map(this.labels.map(({ code }) => [code, events.filter((event) => event.label === code).length]));
    const colours = palette(this.labels, theme.name);
    this.panel.tell(counts, this.thresholds.touched);
    this.about.textContent = this.explanation();
    this.list.show(events, this.labels, colours);
    this.chart.draw({
      recording: this.recording, labels: this.labels, kind: this.kind, events, range: this.range, picture: this.picture ?? null, live: false, focus: this.focus,
      thresholds: decoder && { onset: decoder.onset_threshold, offset: decoder.offset_threshold }, colours, theme: theme.name, tones: theme.tones,
    }).catch((error) => { this.about.textContent = error.message; });
    this.tellCursor();
  }

  explanation() {
    const text = KINDS.find(([kind]) => kind === this.kind)?.[2] ?? "";
    const floor = this.kind === "attention" ? attentionFloor(this.recording) : 0;
    return floor > 0 ? `${text} The axis begins at ${floor}.` : text;
  }

  tellCursor() {
    const { cursor } = this.chart;
    /** @type {Map<string, number>} */
    const levels = new Map();
    if (cursor !== null) {
      for (const { code, values } of curves(this.recording, this.kind)) {
        if (values.length === 0) continue;
        const level = values[frameAt(this.recording.grid, cursor, values.length)];
        if (code === null) for (const label of this.labels) levels.set(label.code, level);
        else levels.set(code, level);
      }
    }
    this.panel.levels(levels);
  }

  /** @param {string | null} code */
  lookAt(code) {
    if (code === this.focus) return;
    this.focus = code;
    this.drawSoon();
  }

  /** @param {[number, number] | null} range null: all of it */
  show(range) {
    const { duration } = this.recording;
    if (range === null) {
      this.range = [0, duration];
    } else {
      const length = Math.min(Math.max(range[1] - range[0], SHORTEST_S), duration);
      const since = Math.min(Math.max(range[0], 0), duration - length);
      this.range = [since, since + length];
    }
    this.drawSoon();
  }

  /** @param {number} factor */
  zoom(factor) {
    const [since, until] = this.range;
    const { cursor } = this.chart;
    const about = cursor !== null && cursor >= since && cursor <= until ? cursor : (since + until) / 2;
    this.show([about - (about - since) * factor, about + (until - about) * factor]);
  }

  /** @param {import("../core/api.js").SoundEvent} event */
  showEvent(event) {
    const around = Math.max(0.5, 0.75 * (event.offset - event.onset));
    this.chart.moveCursor(event.onset);
    this.show([event.onset - around, event.offset + around]);
    this.chart.plot.scrollIntoView({ block: "nearest" });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [since, until] = this.range;
    const step = (until - since) / 50;
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (along && event.shiftKey) this.show([since + 10 * along * step, until + 10 * along * step]);
    else if (along) this.moveCursor((this.chart.cursor ?? (along > 0 ? since : until)) + along * step);
    else if (event.key === "+" || event.key === "=") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else if (event.key === "0" || event.key === "Escape") this.show(null);
    else return;
    event.preventDefault();
  }

  /** Moves the cursor and, where it leaves the window, the window. @param {number} seconds */
  moveCursor(seconds) {
    const at = Math.min(Math.max(seconds, 0), this.recording.duration);
    const [since, until] = this.range;
    if (at < since) this.show([at, at + until - since]);
    if (at > until) this.show([at - (until - since), at]);
    this.chart.moveCursor(at);
    this.about.textContent = `Cursor at ${position(at)}`;
  }
}
