/** The frame: one model card, one view at a time, chosen by the address. */

import { Api, ApiError, mayPass } from "./core/api.js";
import { h, put } from "./core/dom.js";
import { failure, loading } from "./core/notice.js";
import { href, parse } from "./core/route.js";
import { Theme } from "./core/theme.js";

/**
 * @typedef {{name: string, version?: string, labels: import("./core/api.js").Label[], events: Record<string, import("./core/api.js").Decoder>, sample_rate: number, hop: number, [more: string]: any}} Model
 * @typedef {(host: HTMLElement, context: Context, route: import("./core/route.js").Route) => Promise<() => void>} Mount
 *
 * @typedef {object} Context what every view is given
 * @property {Api} api
 * @property {Theme} theme
 * @property {Model} model
 * @property {Map<string, any>} analyses made on this page, by recording: they still have their spectrogram and sound
 * @property {() => void} reload mount the view of the address anew
 */

/** @type {Record<string, {title: string, load: () => Promise<{mount: Mount}>}>} */
const VIEWS = {
  timeline: { title: "Timeline", load: () => import("./timeline/view.js") },
  recording: { title: "Recording", load: () => import("./recording/view.js") },
  analyse: { title: "Analyse", load: () => import("./analyse/view.js") },
  status: { title: "Status", load: () => import("./status/view.js") },
};

const COME_BACK_MS = 2000;

class Page {
  #host = /** @type {HTMLElement} */ (document.getElementById("view"));
  /** Counts mountings, so that one overtaken by the next leaves nothing behind. */
  #turn = 0;
  #leave = () => {};

  constructor() {
    const api = new Api();
    const theme = new Theme();
    /** @type {Context} */
    this.context = { api, theme, model: /** @type {any} */ (null), analyses: new Map(), reload: () => this.show() };
    put(/** @type {Element} */ (document.getElementById("tools")), themeButton(theme));
    window.addEventListener("hashchange", () => this.show());
    document.querySelector(".skip")?.addEventListener("click", (event) => this.#skip(event));
  }

  /** The address names the view, so following the link would leave it. @param {Event} event */
  #skip(event) {
    event.preventDefault();
    this.#host.focus();
  }

  /** Mount the view of the address. */
  async show() {
    const route = parse();
    const view = VIEWS[route.view];
    if (!view) {
      location.replace(href("timeline"));
      return;
    }
    this.#turn += 1;
    const turn = this.#turn;
    this.#leave();
    this.#leave = () => {};
    this.#mark(route.view, view.title);
    // An element of its own: what a view that was overtaken still puts there, nobody sees.
    const host = h("div", {}, loading("One moment"));
    const focused = document.activeElement?.id;
    put(this.#host, host);
    try {
      // A service that was started anew while this page was open may have another one.
      this.context.model = await this.context.api.get("model");
      const { mount } = await view.load().catch(mismatch);
      if (turn !== this.#turn) return;
      const leave = await mount(host, this.context, route);
      if (turn !== this.#turn) {
        leave();
        return;
      }
      this.#leave = leave;
      // Whoever chooses a source by the keyboard goes on from there.
      if (focused && document.activeElement === document.body) document.getElementById(focused)?.focus();
    } catch (error) {
      if (turn !== this.#turn) return;
      // What else than the service fails, fails again until the page is loaded anew.
      put(this.#host, failure(error, () => { if (error instanceof ApiError) this.show(); else location.reload(); }));
      if (mayPass(error)) this.#comeBack(turn, (error.retryAfter ?? 0) * 1000 + COME_BACK_MS);
    }
  }

  /** A service that starts or restarts answers soon. @param {number} turn @param {number} ms */
  #comeBack(turn, ms) {
    const timer = setTimeout(() => { if (turn === this.#turn) this.show(); }, ms);
    this.#leave = () => clearTimeout(timer);
  }

  /** @param {string} view @param {string} title */
  #mark(view, title) {
    document.title = `${title} \u00b7 attloc`;
    for (const link of document.querySelectorAll("nav [data-view]")) {
      const current = link.getAttribute("data-view") === view;
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }
}

/** The parts of this page that are there do not go with those of another version. @param {unknown} cause @returns {never} */
function mismatch(cause) {
  throw new Error("A part of the page could not be loaded: the service may have been updated since the page was opened.", { cause });
}

/** @param {Theme} theme */
function themeButton(theme) {
  const button = h("button", { type: "button", class: "quiet theme", onclick: () => theme.toggle() });
  const name = () => {
    const other = theme.name === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Change to the ${other} theme`);
    button.title = `Change to the ${other} theme`;
    put(button, h("span", { class: "theme-sign", "aria-hidden": "true" }));
  };
  theme.addEventListener("change", name);
  name();
  return button;
}

new Page().show();
