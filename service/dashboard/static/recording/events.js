/** The events of a recording as a list; each leads to its place in the figure. */

import { h, put, swatch } from "../core/dom.js";
import { counted, position, span } from "../core/format.js";
import { Heads } from "../core/heads.js";

/**
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {import("../core/api.js").Label} Label
 */

// A screen or two of them; the figure shows the rest.
const MOST_ROWS = 300;

export class EventList extends EventTarget {
  #title = h("h2", {});
  #heads = new Heads();
  #list = h("ol", { class: "log-list" });
  #rest = h("p", { class: "note rest", hidden: true });
  #shown = "";
  element = h("section", { class: "panel log", "aria-label": "Events" }, this.#title, this.#heads.element, this.#list, this.#rest);

  /** Choosing an event tells `show`. @param {SoundEvent[]} events @param {Label[]} labels @param {Map<string, string>} colours by label code */
  show(events, labels, colours) {
    const shown = JSON.stringify([events, [...colours.values()]]);
    // Left alone while nothing changes: somebody may have the focus in it.
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#title.textContent = events.length === 0 ? "No events" : counted(events.length, "event");
    const names = new Map(labels.map((label) => [label.code, label.name]));
    const rows = events.slice(0, MOST_ROWS);
    const longest = Math.max(0, ...rows.map((event) => position(event.offset).length));
    this.#heads.show(() => when({ onset: 0, offset: 0 }, longest), rows.length);
    put(this.#list, ...rows.map((event) => this.#row(event, names.get(event.label) ?? event.label, longest, colours)));
    this.#list.hidden = events.length === 0;
    this.#rest.hidden = events.length <= MOST_ROWS;
    this.#rest.textContent = `These are the first ${MOST_ROWS}; the figure has all.`;
  }

  /** @param {SoundEvent} event @param {string} name @param {number} longest @param {Map<string, string>} colours */
  #row(event, name, longest, colours) {
    const choose = () => this.dispatchEvent(new CustomEvent("show", { detail: event }));
    return h("li", { "data-label": event.label }, h("button", { type: "button", class: "log-row", title: "Show in the figure", onclick: choose },
      h("span", { class: "num when" }, ...when(event, longest)),
      h("span", { class: "name", title: name }, swatch(colours.get(event.label) ?? ""), h("span", { class: "text" }, name)),
      h("span", { class: "num" }, span(event.offset - event.onset)),
      h("span", { class: "num" }, h("span", { class: "unseen" }, "confidence "), event.confidence.toFixed(2))));
  }
}

/** From where to where; filled up with spaces as wide as digits, so that all rows are as wide. @param {{onset: number, offset: number}} event @param {number} longest */
function when({ onset, offset }, longest) {
  const [from, to] = [onset, offset].map((seconds) => position(seconds).padStart(longest, "\u2007"));
  return [from, h("span", { class: "wide" }, ` \u2013 ${to}`)];
}
