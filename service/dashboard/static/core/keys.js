/** The API key: asked for when the service wants one, kept for this tab's session and nowhere else. */

import { h, put } from "./dom.js";
import { session } from "./kept.js";

const SLOT = "attloc.key";

export class Keys {
  #dialog = h("dialog", { class: "sheet", "aria-labelledby": "key-title" });
  /** @type {Promise<boolean> | null} */
  #asking = null;

  /** @returns {string | null} */
  get key() {
    return session.getItem(SLOT);
  }

  /** @returns {Record<string, string>} the header that carries the key, if there is one */
  get headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  /**
   * Ask; requests refused at the same time share one question.
   *
   * @param {string} reason shown to the person
   * @returns {Promise<boolean>} whether a key was given
   */
  ask(reason) {
    this.#asking ??= this.#ask(reason).finally(() => { this.#asking = null; });
    return this.#asking;
  }

  /** @param {string} reason @returns {Promise<boolean>} */
  #ask(reason) {
    const field = h("input", {
      id: "key-field", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-reason",
      // What no header can carry would look like a service that does not answer, until the tab is closed.
      pattern: "[ -~]+", title: "Plain letters, digits and signs; no typographic quotes",
    });
    const cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
    const form = h("form", { method: "dialog" },
      h("h2", { id: "key-title" }, "API key"),
      h("p", { id: "key-reason" }, reason),
      h("label", { for: "key-field" }, "Key"),
      field,
      h("p", { class: "note" }, "Kept for this tab until it is closed."),
      h("div", { class: "row end" }, cancel, h("button", { type: "submit", class: "strong" }, "Use this key")),
    );
    put(this.#dialog, form);
    document.body.append(this.#dialog);
    this.#dialog.showModal();
    field.focus();
    return new Promise((resolve) => {
      let given = false;
      cancel.addEventListener("click", () => this.#dialog.close());
      form.addEventListener("submit", () => {
        session.setItem(SLOT, field.value.trim());
        given = true;
      });
      this.#dialog.addEventListener("close", () => {
        this.#dialog.remove();
        resolve(given);
      }, { once: true });
    });
  }
}
