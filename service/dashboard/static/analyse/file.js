/** A file dropped or chosen, sent with its progress, its refusal in plain words. */

import { ApiError } from "../core/api.js";
import { h, put } from "../core/dom.js";
import { size, span } from "../core/format.js";
import { blank, failure } from "../core/notice.js";
import { href } from "../core/route.js";
import { read, resolution } from "../recording/document.js";
import { sourceField } from "./source.js";
import { lengthOf, send } from "./upload.js";

export class FileForm {
  #stop = new AbortController();
  #left = new AbortController();

  /** @param {import("../main.js").Context} context @param {import("../core/route.js").Route} route */
  constructor(context, route) {
    this.context = context;
    this.source = sourceField(route.params.get("source"));
    this.keep = h("input", { type: "checkbox", id: "keep", checked: true });
    this.input = h("input", { type: "file", id: "file", class: "unseen", accept: "audio/*,.wav,.flac,.ogg,.oga,.opus", onchange: () => this.#take(this.input.files) });
    this.drop = h("div", { class: "drop" },
      h("p", { class: "drop-title" }, "Drop a recording here"),
      h("p", { class: "note" }, "WAV, FLAC or Ogg. It is analysed and then forgotten: only what was heard in it is kept."),
      this.input, h("label", { for: "file", class: "button strong" }, "Choose a file"));
    this.progress = h("div", { class: "progress", "aria-live": "polite" });
    this.element = h("section", { class: "panel ask" }, this.drop, this.progress,
      h("div", { class: "options" }, this.source.element, h("label", { class: "check" }, this.keep, "Keep what is heard in the timeline")));
    this.#listen();
  }

  stop() {
    this.#left.abort();
    this.#stop.abort();
  }

  /** On the whole page: beside the frame, a browser would open the file in the page's place. */
  #listen() {
    const { signal } = this.#left;
    const over = (/** @type {boolean} */ is) => (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      this.drop.classList.toggle("over", is);
    };
    document.addEventListener("dragover", over(true), { signal });
    document.addEventListener("dragleave", over(false), { signal });
    document.addEventListener("drop", (event) => {
      over(false)(event);
      this.#take(event.dataTransfer?.files ?? null);
    }, { signal });
  }

  /** @param {FileList | null} files */
  async #take(files) {
    const file = files?.[0];
    if (!file) return;
    this.#stop.abort();
    this.#stop = new AbortController();
    if (files.length > 1) {
      put(this.progress, blank("One recording at a time", `These were ${files.length} files; none was sent.`));
      return;
    }
    const { signal } = this.#stop;
    try {
      if (!this.source.check()) return;
      const wire = await this.#send(file, signal);
      signal.throwIfAborted();
      const id = wire.id ?? `unkept-${Date.now()}`;
      remember(this.context.analyses, id, read(wire, file));
      location.hash = href("recording", id);
    } catch (error) {
      if (!signal.aborted) put(this.progress, refused(error, file));
    } finally {
      this.input.value = "";
    }
  }

  /** @param {File} file @param {AbortSignal} signal */
  async #send(file, signal) {
    const bar = h("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
    const text = h("p", { class: "num" }, `Reading ${file.name}`);
    put(this.progress, text, bar, h("button", { type: "button", onclick: () => { this.#stop.abort(); put(this.progress); } }, "Cancel"));
    // Sending a folder, or a file that is gone, would fail as if the service were away.
    await file.slice(0, 1).arrayBuffer().catch(() => { throw Object.assign(new Error("It is a folder, or no longer where it was."), { title: "Not a file that can be read" }); });
    const seconds = await lengthOf(file);
    const about = `${file.name}, ${size(file.size)}${seconds === null ? "" : `, ${span(seconds)}`}`;
    return send(this.context.api, file, {
      source: this.source.value, include: "curves,spectrogram", store: String(this.keep.checked), resolution: resolution(seconds, this.context.model),
    }, ({ stage, part }) => {
      text.textContent = stage === "sending" ? `Sending ${about}: ${Math.round(100 * part)} %` : `Listening to ${about}`;
      if (stage === "sending") bar.value = part;
      else bar.removeAttribute("value");
    }, signal);
  }
}

// They hold the sound, which may be large.
const MOST_REMEMBERED = 10;

/** @param {Map<string, any>} analyses @param {string} id @param {import("../recording/document.js").Recording} recording */
function remember(analyses, id, recording) {
  analyses.delete(id);
  analyses.set(id, recording);
  for (const oldest of [...analyses.keys()].slice(0, -MOST_REMEMBERED)) analyses.delete(oldest);
}

/** @param {unknown} error @param {File} file */
function refused(error, file) {
  const shown = failure(error);
  if (error instanceof ApiError && ADVICE[error.status]) shown.append(h("p", {}, ADVICE[error.status]));
  shown.append(h("p", { class: "note" }, file.name));
  return shown;
}

/** @type {Record<number, string>} what a person can do */
const ADVICE = {
  400: "The file is damaged or ends too early. Export it again and retry.",
  413: "Cut it into shorter pieces, or ask the operator for a higher limit.",
  415: "Convert it to WAV, FLAC or Ogg.",
  422: "There is nothing in it that could be analysed.",
  429: "Wait a little and try again.",
  503: "The service is busy. Wait a little and try again.",
  504: "It took too long. Try again, or cut it into shorter pieces.",
};
