/** Light, dark, or what the system says; charts are told when it changes. */

import { h } from "./dom.js";
import { local } from "./kept.js";

const SLOT = "attloc.theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");

/**
 * @typedef {"light" | "dark"} ThemeName
 * @typedef {{ink: string, muted: string, line: string, faint: string, surface: string, sans: string}} Tones
 */

export class Theme extends EventTarget {
  constructor() {
    super();
    DARK.addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  /** @returns {ThemeName} */
  get name() {
    const chosen = document.documentElement.dataset.theme;
    if (chosen === "light" || chosen === "dark") return chosen;
    return DARK.matches ? "dark" : "light";
  }

  /** The tones of the style sheet, for what is drawn outside of it. @returns {Tones} */
  get tones() {
    const probe = document.body.appendChild(h("span", { hidden: true }));
    const read = (/** @type {string} */ name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const tones = {
      ink: read("ink"), muted: read("muted"), line: read("line"), faint: read("faint"), surface: read("surface"),
      sans: getComputedStyle(document.body).fontFamily,
    };
    probe.remove();
    return tones;
  }

  toggle() {
    const other = this.name === "dark" ? "light" : "dark";
    const system = DARK.matches ? "dark" : "light";
    // Back at what the system says: follow it again.
    if (other === system) {
      delete document.documentElement.dataset.theme;
      local.removeItem(SLOT);
    } else {
      document.documentElement.dataset.theme = other;
      local.setItem(SLOT, other);
    }
    this.dispatchEvent(new Event("change"));
  }
}
