/** The microphone live. */

import { h } from "../core/dom.js";

export class MicrophoneForm {
  /** @param {import("../main.js").Context} context @param {import("../core/route.js").Route} route */
  constructor(context, route) {
    this.context = context;
    this.element = h("section", { class: "panel ask" }, h("p", {}, "Not yet."));
    void route;
  }

  stop() {}
}
