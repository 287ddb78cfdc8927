/** The name under which a recording goes into the timeline. */

import { h } from "../core/dom.js";
import { local } from "../core/kept.js";

const SLOT = "attloc.source";

/** @param {string | null} asked */
export function sourceField(asked) {
  const input = h("input", {
    id: "source", type: "text", value: asked ?? local.getItem(SLOT) ?? "default", pattern: "[A-Za-z0-9._\\-]{1,64}", required: true,
    autocomplete: "off", spellcheck: "false", maxlength: 64, title: "Letters, digits, dot, hyphen and underscore; at most 64",
  });
  return {
    element: h("div", { class: "field" }, h("label", { for: "source" }, "Source"), input),
    input,
    get value() { return input.value; },
    /** Whether it is a name the service takes; says so if it is not. */
    check() {
      if (!input.reportValidity()) return false;
      local.setItem(SLOT, input.value);
      return true;
    },
  };
}
