/** The timeline view: a source, a window on its clock, what was heard in it. */

import { ago, moment, span } from "../core/format.js";
import { debounced, h, put, swatch } from "../core/dom.js";
import { blank, failure, loading } from "../core/notice.js";
import { palette } from "../core/palette.js";
import { amend, href } from "../core/route.js";
import { TimelineChart } from "./chart.js";
import { Feed } from "./feed.js";
import { tally } from "./lanes.js";
import { Log } from "./log.js";
import { ZOOM, clamp, follow, moved, stretched } from "./window.js";

/**
 * @typedef {import("../main.js").Context} Context
 * @typedef {import("./window.js").View} View
 * @typedef {{source: string, recorded_at?: string, ended_at?: string, recordings?: number}} Source
 */

const SPANS = /** @type {const} */ ([[60, "1 min"], [300, "5 min"], [1800, "30 min"], [3600, "1 h"], [21600, "6 h"], [86400, "1 day"], [604800, "7 days"]]);
const DEFAULT_SPAN = 300;
const TICK_MS = 1000;
const AHEAD = 0.02;
const STATES = {
  loading: "Loading", live: "Live", polling: "Live, polling", waiting: "Connection lost, trying again", still: "Not following", failed: "Failed",
};

/**
 * @param {HTMLElement} host @param {Context} context @param {import("../core/route.js").Route} route
 * @returns {Promise<() => void>} takes the view down
 */
export async function mount(host, context, route) {
  put(host, loading("Asking for sources"));
  const { sources } = /** @type {{sources: Source[]}} */ (await context.api.get("sources"));
  const asked = route.params.get("source");
  const source = asked ?? sources[0]?.source;
  if (!source) {
    put(host, blank("Nothing has been heard yet",
      "Post a recording to the service, or analyse one here; what is heard in it appears on this page.",
      h("p", {}, h("a", { class: "button strong", href: href("analyse") }, "Analyse a recording"))));
    return waitForSources(context, () => context.reload());
  }
  const known = sources.find((each) => each.source === source) ?? { source };
  const view = new TimelineView(host, context, known, sources, fromRoute(route.params));
  view.start();
  return () => view.stop();
}

/** @param {URLSearchParams} params @returns {View} */
function fromRoute(params) {
  const seconds = Number(params.get("span"));
  const end = Date.parse(params.get("end") ?? "");
  return clamp({ span: (seconds > 0 ? seconds : DEFAULT_SPAN) * 1000, end: Number.isNaN(end) ? null : end });
}

class TimelineView {
  /** @param {HTMLElement} host @param {Context} context @param {Source} source @param {Source[]} sources @param {View} view */
  constructor(host, context, source, sources, view) {
    this.context = context;
    this.source = source;
    this.view = view;
    this.labels = context.model.labels.filter((label) => label.scored !== false);
    this.loadedSince = 0;
    this.loadedUntil = 0;
    this.loadedLive = false;
    this.feed = new Feed(context.api, source.source);
    this.plot = h("div", { class: "lanes-plot", tabindex: "0", role: "group", "aria-describedby": "lanes-keys" });
    this.plot.setAttribute("aria-label", `Events of ${source.source}, one lane a label`);
    this.chart = new TimelineChart(this.plot, this.labels, () => this.look());
    this.gutter = h("ul", { class: "lanes-gutter", "aria-label": "Labels" });
    this.overlay = h("div", { class: "lanes-overlay", role: "status" });
    this.state = h("span", { class: "feed-state", role: "status" });
    this.title = h("p", { class: "sub" });
    this.log = new Log(this.labels);
    this.spans = SPANS.map(([seconds, text]) =>
      h("button", { type: "button", onclick: () => this.go({ ...this.view, span: seconds * 1000 }), "data-span": seconds }, text));
    this.live = h("button", { type: "button", class: "live", onclick: () => this.go({ ...this.view, end: this.view.end === null ? Date.now() : null }) }, "Follow live");
    this.reopen = debounced(250)(() => this.open());
    put(host, this.frame(sources));
  }

  /** @param {Source[]} sources */
  frame(sources) {
    const names = sources.some((each) => each.source === this.source.source) ? sources : [this.source, ...sources];
    const select = h("select", { id: "source", onchange: () => { location.hash = href("timeline", "", { source: select.value, span: this.view.span / 1000 }); } },
      ...names.map((each) => h("option", { value: each.source, selected: each.source === this.source.source }, each.source)));
    const step = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) =>
      h("button", { type: "button", "aria-label": name, title: name, onclick: act }, text);
    return h("div", { class: "view timeline" },
      h("div", { class: "head" },
        h("div", {}, h("h1", {}, h("label", { for: "source", class: "unseen" }, "Source"), select), this.title),
        h("div", { class: "controls" },
          h("div", { class: "segments", role: "group", "aria-label": "Length of the window" }, ...this.spans),
          h("div", { class: "segments", role: "group", "aria-label": "Move the window" },
            step("\u2190", "Earlier", () => this.go(moved(this.view, -0.5, Date.now()))),
            step("\u2212", "Zoom out", () => this.go(stretched(this.view, ZOOM, 0.5, Date.now()))),
            step("+", "Zoom in", () => this.go(stretched(this.view, 1 / ZOOM, 0.5, Date.now()))),
            step("\u2192", "Later", () => this.go(moved(this.view, 0.5, Date.now())))),
          this.live)),
      h("section", { class: "panel lanes", "aria-label": "Timeline" }, this.gutter, this.plot, this.overlay),
      h("p", { class: "note keys", id: "lanes-keys" }, this.state,
        h("span", { class: "wide" }, "Drag or arrow keys move, + and \u2212 or Ctrl and wheel zoom, L follows live. A click on an event opens its recording.")),
      this.log.element);
  }

  start() {
    this.feed.addEventListener("change", () => this.draw());
    this.feed.addEventListener("state", () => this.tell());
    this.chart.addEventListener("move", (event) => {
      const { since, until } = /** @type {CustomEvent} */ (event).detail;
      this.go({ span: until - since, end: until });
    });
    this.chart.addEventListener("pick", (event) => this.pick(/** @type {CustomEvent} */ (event).detail));
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.plot);
    this.redraw = () => this.draw();
    this.context.theme.addEventListener("change", this.redraw);
    this.timer = window.setInterval(() => { if (this.view.end === null && !document.hidden) this.draw(); }, TICK_MS);
    this.open();
  }

  stop() {
    clearInterval(this.timer);
    this.sizes?.disconnect();
    if (this.redraw) this.context.theme.removeEventListener("change", this.redraw);
    this.feed.close();
    this.chart.dispose();
  }

  look() {
    return { colours: palette(this.labels, this.context.theme.name), tones: this.context.theme.tones };
  }

  /** @param {View} next */
  go(next) {
    this.view = follow(clamp(next), Date.now());
    const { since } = this.window();
    amend(href("timeline", "", {
      source: this.source.source, span: Math.round(this.view.span) / 1000, end: this.view.end === null ? null : new Date(this.view.end).toISOString(),
    }));
    this.draw();
    const follows = this.view.end === null;
    if (since < this.loadedSince || follows !== this.loadedLive || (!follows && (this.view.end ?? 0) > this.loadedUntil)) this.reopen();
  }

  window(now = Date.now()) {
    // A little room ahead of the present, so that what begins is seen to begin.
    const until = this.view.end ?? now + AHEAD * this.view.span;
    return { since: until - this.view.span, until };
  }

  open() {
    // A screen more on each side, so that a drag shows what is there.
    const { since, until } = this.window();
    this.loadedLive = this.view.end === null;
    this.loadedSince = since - this.view.span;
    this.loadedUntil = until + this.view.span;
    this.feed.open(this.loadedSince, this.loadedLive ? null : this.loadedUntil);
  }

  draw() {
    const now = Date.now();
    const window = this.window(now);
    const events = [...this.feed.events.values()];
    this.chart.draw(events, window, now).catch((error) => { put(this.overlay, failure(error)); });
    const { colours } = this.look();
    put(this.gutter, ...this.labels.map((label) => {
      const { count, seconds } = tally(events.filter((event) => event.label === label.code), window.since, window.until);
      return h("li", { class: count ? "" : "idle" }, swatch(colours.get(label.code) ?? ""), h("span", { class: "name" }, label.name),
        h("span", { class: "num" }, count ? `${count} \u00b7 ${span(seconds)}` : ""));
    }));
    const seen = events.filter((event) => event.offset > window.since && event.onset < window.until);
    this.log.show(seen, colours);
    this.log.tell(seen.length);
    this.tell(seen.length, events);
  }

  /** @param {number} [seen] @param {import("./lanes.js").LaneEvent[]} [events] */
  tell(seen, events = [...this.feed.events.values()]) {
    const { state } = this.feed;
    this.state.dataset.state = state;
    if (this.state.textContent !== STATES[state]) this.state.textContent = STATES[state];
    for (const button of this.spans) button.setAttribute("aria-pressed", String(Number(button.dataset.span) * 1000 === Math.round(this.view.span)));
    this.live.setAttribute("aria-pressed", String(this.view.end === null));
    const last = events.reduce((latest, event) => Math.max(latest, event.offset), Date.parse(this.source.ended_at ?? "") || 0);
    this.title.textContent = last ? `Last heard ${ago(last)}` : "Nothing heard yet";
    if (state === "failed") put(this.overlay, failure(this.feed.error, () => this.open()));
    else if (state === "loading" && this.feed.events.size === 0) put(this.overlay, loading("Loading events"));
    else if (seen === 0) put(this.overlay, this.empty(last));
    else if (this.feed.cut) put(this.overlay, h("p", { class: "note" }, "Too many events to load: the later ones are missing. Zoom in."));
    else if (seen !== undefined) put(this.overlay);
  }

  /** @param {number} last ms */
  empty(last) {
    const { since, until } = this.window();
    const text = h("p", {}, `Nothing heard in these ${span(this.view.span / 1000)}.`);
    if (!last || (last > since && last < until)) return text;
    return h("div", {}, text, h("button", { type: "button", onclick: () => this.go({ ...this.view, end: last + 0.2 * this.view.span }) }, `Go to ${moment(last)}`));
  }

  /** @param {import("./lanes.js").Block} block */
  pick(block) {
    const [event] = block.events;
    if (block.events.length === 1) location.hash = href("recording", event.recordingId, { at: event.onset });
    else this.go({ span: Math.max(1.5 * (block.offset - block.onset), 2000), end: block.offset + 0.25 * (block.offset - block.onset) });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = Date.now();
    /** @type {Record<string, () => View>} */
    const acts = {
      ArrowLeft: () => moved(this.view, -0.25, now), ArrowRight: () => moved(this.view, 0.25, now),
      "+": () => stretched(this.view, 1 / ZOOM, 0.5, now), "=": () => stretched(this.view, 1 / ZOOM, 0.5, now), "-": () => stretched(this.view, ZOOM, 0.5, now),
      l: () => ({ ...this.view, end: null }), Home: () => ({ ...this.view, end: null }),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    this.go(act());
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const along = event.shiftKey ? event.deltaY : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      const at = (event.clientX - this.plot.getBoundingClientRect().left) / this.plot.clientWidth;
      this.go(stretched(this.view, Math.exp(event.deltaY / 300), at, Date.now()));
    } else if (Math.abs(along) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
      this.go(moved(this.view, along / this.plot.clientWidth, Date.now()));
    } else return;
    event.preventDefault();
  }
}

/** @param {Context} context @param {() => void} found */
function waitForSources(context, found) {
  const timer = setInterval(async () => {
    const { sources } = await context.api.get("sources").catch(() => ({ sources: [] }));
    if (sources.length > 0) found();
  }, 3000);
  return () => clearInterval(timer);
}
