/** What stands where nothing else can: empty, loading, failed. */

import { ApiError } from "./api.js";
import { h } from "./dom.js";
import { href } from "./route.js";

/** @param {string} title @param {...(Node | string)} body */
export function blank(title, ...body) {
  return h("section", { class: "blank" }, h("h2", {}, title), ...body.map((each) => (each instanceof Node ? each : h("p", {}, each))));
}

/** @param {string} what @returns {HTMLElement} shown only when it takes a while, by CSS */
export function loading(what) {
  return h("div", { class: "blank loading", role: "status" }, h("p", {}, h("span", { class: "pulse", "aria-hidden": "true" }), what));
}

/** @param {string} text */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/**
 * @param {unknown} error
 * @param {(() => void) | null} [retry]
 */
export function failure(error, retry = null) {
  const known = error instanceof ApiError;
  const title = /** @type {{title?: string} | null} */ (error)?.title ?? "This page failed";
  const detail = error instanceof Error ? error.message : String(error);
  return h("section", { class: "blank failure", role: "alert" },
    h("h2", {}, title),
    h("p", {}, sentence(detail)),
    known && error.complaints.length > 0 && h("ul", {}, ...error.complaints.map((text) => h("li", {}, sentence(text)))),
    known && error.status === 404
      ? h("a", { class: "button", href: href("timeline") }, "To the timeline")
      : retry && h("button", { type: "button", onclick: retry }, "Try again"),
  );
}
