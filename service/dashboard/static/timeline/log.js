/** The events of the window as a list: the timeline for those who read rather than look. */

import { h, put, swatch } from "../core/dom.js";
import { counted, full, moment, span } from "../core/format.js";
import { Heads } from "../core/heads.js";
import { href } from "../core/route.js";

/**
 * @typedef {import("./lanes.js").LaneEvent} LaneEvent
 */

const MOST_ROWS = 60;

export class Log {
  #title = h("h2", {});
  #heads = new Heads();
  #list = h("ol", { class: "log-list" });
  #shown = "";
  element = h("section", { class: "panel log", hidden: true, "aria-label": "Events in this window" }, this.#title, this.#heads.element, this.#list);

  /**
   * @param {LaneEvent[]} events in the window
   * @param {Map<string, string>} colours by label code
   */
  show(events, colours) {
    this.#tell(events.length);
    const latest = [...events].sort((a, b) => b.onset - a.onset).slice(0, MOST_ROWS);
    // Times of today are written without the day, until midnight.
    const shown = JSON.stringify([latest.map((event) => [event.id, event.seq]), [...colours.values()], new Date().toDateString()]);
    // Left alone while nothing changes: a person may be reading it, or have the focus in it.
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = document.activeElement instanceof HTMLAnchorElement && this.#list.contains(document.activeElement) ? document.activeElement.hash : null;
    const longest = latest.map((event) => moment(event.onset)).reduce((longer, text) => (text.length > longer.length ? text : longer), "");
    this.#heads.show(() => [longest], latest.length);
    put(this.#list, ...latest.map((event) => this.#row(event, colours)));
    for (const link of this.#list.querySelectorAll("a")) if (focused !== null && link.hash === focused) link.focus();
  }

  /** @param {number} count of all events in the window */
  #tell(count) {
    this.element.hidden = count === 0;
    this.#title.textContent = (count > MOST_ROWS ? `Latest ${MOST_ROWS} of ` : "") + counted(count, "event");
  }

  /** @param {LaneEvent} event @param {Map<string, string>} colours */
  #row(event, colours) {
    return h("li", {}, h("a", { class: "log-row", href: href("recording", event.recordingId, { at: event.onset }), title: "Open the recording" },
      h("time", { class: "when", datetime: new Date(event.onset).toISOString(), title: full(event.onset) }, moment(event.onset)),
      h("span", { class: "name", title: event.name }, swatch(colours.get(event.label) ?? ""), h("span", { class: "text" }, event.name)),
      h("span", { class: "num" }, span((event.offset - event.onset) / 1000)),
      h("span", { class: "num" }, h("span", { class: "unseen" }, "confidence "), event.confidence.toFixed(2))));
  }
}
