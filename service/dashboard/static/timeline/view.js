/** The timeline view: a source, a window on its clock, what was heard in it. */

import { mayPass } from "../core/api.js";
import { ago, moment, span } from "../core/format.js";
import { debounced, h, put, swatch } from "../core/dom.js";
import { blank, failure, loading } from "../core/notice.js";
import { palette } from "../core/palette.js";
import { amend, href } from "../core/route.js";
import { TimelineChart } from "./chart.js";
import { Feed } from "./feed.js";
import { tally } from "./lanes.js";
import { Log } from "./log.js";
import { listen } from "./gestures.js";
import { Toolbar } from "./toolbar.js";
import { clamp, follow } from "./window.js";

/**
 * @typedef {import("../main.js").Context} Context
 * @typedef {import("./window.js").View} View
 * @typedef {import("./toolbar.js").Source} Source
 */

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
  const source = route.params.get("source") || sources[0]?.source;
  if (!source) {
    put(host, blank("Nothing has been heard yet",
      "Post a recording to the service, or analyse one here; what is heard in it appears on this page.",
      h("p", {}, h("a", { class: "button strong", href: href("analyse") }, "Analyse a recording"))));
    return waitForSources(host, context);
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
    this.loaded = { since: 0, until: 0, live: false, length: 0 };
    /** End of the latest event that is known of, though it may be let go, ms. */
    this.heard = Date.parse(source.ended_at ?? "") || 0;
    this.feed = new Feed(context.api, source.source);
    this.toolbar = new Toolbar(source, sources, async () => (await context.api.get("sources")).sources);
    this.plot = h("div", { class: "lanes-plot", tabindex: "0", role: "group", "aria-describedby": "lanes-keys", "aria-label": `Events of ${source.source}, one lane a label` });
    this.chart = new TimelineChart(this.plot, () => this.look());
    this.gutter = h("ul", { class: "lanes-gutter", "aria-label": "Labels" });
    this.overlay = h("div", { class: "lanes-overlay", role: "status" });
    this.lanes = h("section", { class: "panel lanes", "aria-label": "Timeline" }, this.gutter, this.plot, this.overlay);
    this.state = h("span", { class: "feed-state", role: "status" });
    this.title = h("p", { class: "sub" });
    this.log = new Log();
    this.covered = "";
    /** @type {unknown} why there is no chart */
    this.undrawn = null;
    this.reopen = debounced(250, () => this.open());
    this.redraw = () => this.draw();
    put(host, h("div", { class: "view timeline" },
      h("div", { class: "head" }, h("div", {}, this.toolbar.source, this.title), this.toolbar.controls),
      this.lanes,
      h("p", { class: "note keys", id: "lanes-keys" }, this.state,
        h("span", { class: "wide" }, "Drag or arrow keys move, + and \u2212 or Ctrl and wheel zoom, L follows live. A click on an event opens its recording.")),
      this.log.element));
  }

  start() {
    this.toolbar.addEventListener("go", (event) => this.change(/** @type {CustomEvent} */ (event).detail));
    this.toolbar.addEventListener("source", (event) => {
      location.hash = href("timeline", "", { source: /** @type {CustomEvent} */ (event).detail, span: this.view.span / 1000 });
    });
    this.feed.addEventListener("change", this.redraw);
    this.feed.addEventListener("state", this.redraw);
    this.chart.addEventListener("move", (event) => {
      const { since, until } = /** @type {CustomEvent} */ (event).detail;
      this.go({ span: until - since, end: until });
    });
    this.chart.addEventListener("pick", (event) => this.pick(/** @type {CustomEvent} */ (event).detail));
    listen(this.plot, (change) => this.change(change));
    this.sizes = new ResizeObserver(this.redraw);
    this.sizes.observe(this.plot);
    this.context.theme.addEventListener("change", this.redraw);
    this.timer = window.setInterval(() => this.tick(), TICK_MS);
    this.open();
  }

  stop() {
    clearInterval(this.timer);
    this.sizes?.disconnect();
    this.context.theme.removeEventListener("change", this.redraw);
    this.feed.close();
    this.chart.dispose();
  }

  /** Time goes on for who follows it. */
  tick() {
    if (this.view.end !== null) return;
    this.forget(Date.now() - this.loaded.length);
    if (!document.hidden) this.draw();
  }

  /** The page may stay open for weeks: what was heard before is let go, and asked for again by who looks back. @param {number} since ms */
  forget(since) {
    this.loaded.since = Math.max(this.loaded.since, since);
    for (const [id, { offset }] of this.feed.events) {
      if (offset >= since) continue;
      this.feed.events.delete(id);
      this.heard = Math.max(this.heard, offset);
    }
  }

  look() {
    return { colours: palette(this.labels, this.context.theme.name), tones: this.context.theme.tones };
  }

  /** @param {import("./toolbar.js").Change} change */
  change(change) {
    this.go(change(this.view, Date.now()));
  }

  /** @param {View} next */
  go(next) {
    this.view = follow(clamp(next), Date.now());
    const { span, end } = this.view;
    amend(href("timeline", "", { source: this.source.source, span: Math.round(span) / 1000, end: end === null ? null : new Date(end).toISOString() }));
    this.draw();
    const live = end === null;
    if (this.window().since < this.loaded.since || live !== this.loaded.live || (!live && end > this.loaded.until)) this.reopen();
  }

  window(now = Date.now()) {
    // A little room ahead of the present, so that what begins is seen to begin.
    const until = this.view.end ?? now + AHEAD * this.view.span;
    return { since: until - this.view.span, until };
  }

  open() {
    // A screen more on each side, so that a drag shows what is there.
    const { since, until } = this.window();
    this.loaded = { since: since - this.view.span, until: until + this.view.span, live: this.view.end === null, length: until - since + this.view.span };
    this.feed.open(this.loaded.since, this.loaded.live ? null : this.loaded.until);
  }

  draw() {
    const now = Date.now();
    const window = this.window(now);
    const events = [...this.feed.events.values()];
    this.meet(events);
    this.chart.draw(this.labels, events, window, now).then(() => { this.undrawn = null; }, (error) => { this.undrawn = error; });
    const { colours } = this.look();
    put(this.gutter, ...this.labels.map((label) => {
      const { count, seconds } = tally(events.filter((event) => event.label === label.code), window.since, window.until);
      return h("li", { class: count ? "" : "idle" }, swatch(colours.get(label.code) ?? ""), h("span", { class: "name" }, label.name),
        h("span", { class: "num" }, count ? `${count} \u00b7 ${span(seconds)}` : ""));
    }));
    const seen = events.filter((event) => event.offset > window.since && event.onset < window.until);
    this.log.show(seen, colours);
    this.tell(seen.length, events);
  }

  /** Labels of a model long gone get lanes of their own. @param {import("./lanes.js").LaneEvent[]} events */
  meet(events) {
    const known = new Set(this.labels.map((label) => label.code));
    for (const { label, name } of events) {
      if (known.has(label)) continue;
      known.add(label);
      this.labels.push({ code: label, name });
    }
    this.lanes.style.setProperty("--lanes", String(this.labels.length));
  }

  /** @param {number} seen events in the window @param {import("./lanes.js").LaneEvent[]} events */
  tell(seen, events) {
    const { state, cutAt } = this.feed;
    this.state.dataset.state = state;
    if (this.state.textContent !== STATES[state]) this.state.textContent = STATES[state];
    this.toolbar.show(this.view);
    const last = events.reduce((latest, event) => Math.max(latest, event.offset), this.heard);
    // A still window is not drawn anew: what it says of the present would stay.
    this.title.textContent = last ? `Last heard ${this.view.end === null ? ago(last) : moment(last)}` : "Nothing heard yet";
    if (this.undrawn) this.cover("undrawn", () => failure(this.undrawn));
    else if (state === "failed") this.cover("failed", () => failure(this.feed.error, () => this.open()));
    else if (state === "loading" && this.feed.events.size === 0) this.cover("loading", () => loading("Loading events"));
    else if (seen === 0) this.cover(`empty ${last} ${this.view.span}`, () => this.empty(last));
    else if (cutAt !== null && cutAt > this.window().since) this.cover(`cut ${cutAt}`, () => h("p", { class: "note" }, `Too many events for one look: shown from ${moment(cutAt)} on. Zoom in on what came before.`));
    else this.cover("", () => null);
  }

  /** What lies over the lanes, made once: it may hold a button that somebody is about to press. @param {string} what @param {() => Node | null} make */
  cover(what, make) {
    if (this.covered === what) return;
    this.covered = what;
    put(this.overlay, make());
  }

  /** @param {number} last ms */
  empty(last) {
    const { since, until } = this.window();
    const text = h("p", {}, `Nothing heard in these ${span(this.view.span / 1000)}.`);
    if (!last) {
      const { source } = this.source;
      return h("div", { class: "row" }, h("p", {}, "Nothing has been heard from this source yet."),
        h("a", { class: "button", href: href("analyse", "", { source }) }, "Analyse a recording"),
        h("a", { class: "button", href: href("analyse", "microphone", { source }) }, "Listen"));
    }
    if (last > since && last < until) return text;
    return h("div", {}, text, h("button", { type: "button", onclick: () => this.go({ ...this.view, end: last + 0.2 * this.view.span }) }, `Go to ${moment(last)}`));
  }

  /** @param {import("./lanes.js").Block} block */
  pick(block) {
    const [event] = block.events;
    if (block.events.length === 1) location.hash = href("recording", event.recordingId, { at: event.onset });
    else this.go({ span: Math.max(1.5 * (block.offset - block.onset), 2000), end: block.offset + 0.25 * (block.offset - block.onset) });
  }
}

/** @param {HTMLElement} host @param {Context} context */
function waitForSources(host, context) {
  let timer = 0;
  const wait = () => { if (host.isConnected) timer = window.setTimeout(look, 3000); };
  const look = async () => {
    try {
      const { sources } = await context.api.get("sources");
      if (sources.length > 0 && host.isConnected) context.reload();
      else wait();
    } catch (error) {
      if (mayPass(error)) wait();
      // Whoever has no other key is not asked for one again and again.
      else put(host, failure(error, context.reload));
    }
  };
  wait();
  return () => clearTimeout(timer);
}
