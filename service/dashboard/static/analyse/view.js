/** The analyse view: a file dropped or chosen, or the microphone live. */

import { h, put } from "../core/dom.js";
import { moment, span } from "../core/format.js";
import { href } from "../core/route.js";
import { FileForm } from "./file.js";
import { MicrophoneForm } from "./microphone.js";

/** @typedef {import("../main.js").Context} Context */

const WAYS = [["file", "A recording"], ["microphone", "The microphone"]];

/** @param {HTMLElement} host @param {Context} context @param {import("../core/route.js").Route} route */
export async function mount(host, context, route) {
  const way = route.id === "microphone" ? "microphone" : "file";
  const form = way === "microphone" ? new MicrophoneForm(context, route) : new FileForm(context, route);
  put(host, h("div", { class: "view analyse" },
    h("div", { class: "head" },
      h("h1", {}, "Analyse"),
      h("nav", { class: "segments", "aria-label": "What to analyse" }, ...WAYS.map(([id, text]) =>
        h("a", { href: href("analyse", id === "file" ? "" : id, { source: route.params.get("source") }), "aria-current": id === way && "page" }, text)))),
    form.element,
    earlier(context)));
  return () => form.stop();
}

/** What was analysed on this page before: its sound and spectrogram are still here. @param {Context} context */
function earlier(context) {
  const made = [...context.analyses].reverse();
  if (made.length === 0) return null;
  return h("section", { class: "panel log" }, h("h2", {}, "Analysed on this page"), h("ol", { class: "log-list" }, ...made.map(([id, recording]) =>
    h("li", {}, h("a", { class: "log-row", href: href("recording", id) },
      h("time", {}, moment(recording.recordedAt)),
      h("span", {}, recording.sound instanceof File ? recording.sound.name : recording.source),
      h("span", { class: "num" }, span(recording.duration)),
      h("span", { class: "num", title: "Events" }, String(recording.events.length)))))));
}
