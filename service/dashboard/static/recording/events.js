/** The events of a recording as a list; each leads to its place in the figure. */

import { h, put, swatch } from "../core/dom.js";
import { counted, position, span } from "../core/format.js";

/**
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {import("../core/api.js").Label} Label
 */

// A screen or two of them; the figure shows the rest.
const MOST_ROWS = 300;

export class EventList extends EventTarget {
  #title = h("h2", {});
  #list = h("ol", { class: "log-list" });
  #rest = h("p", { class: "note rest", hidden: true });
  #shown = "";
  element = h("section", { class: "panel log", "aria-label": "Events" }, this.#title, this.#list, this.#rest);

  /** Choosing an event tells `show`. @param {SoundEvent[]} events @param {Label[]} labels @param {Map<string, string>} colours by label code */
  show(events, labels, colours) {
    const shown = JSON.stringify([events, [...colours.values()]]);
    // Left alone while nothing changes: somebody may have the focus in it.
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#title.textContent = events.length === 0 ? "No events" : counted(events.length, "event");
    const names = new Map(labels.map((label) => [label.code, label.name]));
    put(this.#list, ...events.slice(0, MOST_ROWS).map((event) => this.#row(event, names.get(event.label) ?? event.label, colours)));
    this.#list.hidden = events.length === 0;
    this.#rest.hidden = events.length <= MOST_ROWS;
    this.#rest.textContent = `These are the first ${MOST_ROWS}; the figure has all.`;
  }

  /** @param {SoundEvent} event @param {string} name @param {Map<string, string>} colours */
  #row(event, name, colours) {
    const choose = () => this.dispatchEvent(new CustomEvent("show", { detail: event }));
    return h("li", { "data-label": event.label }, h("button", { type: "button", title: "Show in the figure", onclick: choose },
      h("span", { class: "num when" }, position(event.onset), h("span", { class: "wide" }, ` \u2013 ${position(event.offset)}`)),
      h("span", { class: "name" }, swatch(colours.get(event.label) ?? ""), name),
      h("span", { class: "num" }, span(event.offset - event.onset)),
      h("span", { class: "num", title: "Confidence" }, h("span", { class: "unseen" }, "confidence "), event.confidence.toFixed(2))));
  }
}
