/** The status view: how the service fares, and what it says of its model. */

import { ApiError, refusal } from "../core/api.js";
import { h, put, swatch } from "../core/dom.js";
import { counted, span, trimmed } from "../core/format.js";
import { failure } from "../core/notice.js";
import { palette } from "../core/palette.js";
import { nested } from "./nested.js";
import { parse, total } from "./metrics.js";

/** @typedef {import("../main.js").Context} Context */

const EVERY_MS = 2000;
// A service that hangs takes connections, and would be shown as it was before.
const PATIENCE_MS = 5000;

/** @param {HTMLElement} host @param {Context} context */
export async function mount(host, context) {
  const gauges = h("section", { class: "panel gauges", "aria-label": "The service now" });
  put(host, h("div", { class: "view status" }, h("div", { class: "head" }, h("h1", {}, "Status")), gauges, card(context)));
  const readings = new Readings(context);
  let timer = 0;
  let left = false;
  // Each after the one before: a service that is slow to answer is not asked ever more.
  const show = async () => {
    try {
      if (!document.hidden) put(gauges, ...(await readings.take()).map(gauge));
    } catch (error) {
      // Whoever has no other key is not asked for one again and again.
      put(gauges, failure(error, show));
      return;
    }
    if (!left) timer = window.setTimeout(show, EVERY_MS);
  };
  await show();
  return () => {
    left = true;
    clearTimeout(timer);
  };
}

/**
 * @typedef {{name: string, value: string, unit?: string, note: string, state?: "good" | "bad"}} Reading
 *
 * @param {Reading} reading
 */
function gauge({ name, value, unit, note, state }) {
  return h("div", { class: "gauge", "data-state": state }, h("h2", {}, name), h("p", { class: "reading num" }, value, unit && h("small", {}, ` ${unit}`)), h("p", { class: "note num" }, note));
}

class Readings {
  /** @type {{at: number, requests: number, audio: number} | null} */
  #before = null;

  /** @param {Context} context */
  constructor(context) {
    this.context = context;
  }

  /** @returns {Promise<Reading[]>} */
  async take() {
    const { api, model } = this.context;
    let ready;
    let samples;
    try {
      const [readiness, metrics] = await Promise.all([
        api.fetch(api.url("health/ready"), {}, PATIENCE_MS),
        api.fetch(api.url("metrics"), { headers: { Accept: "text/plain" } }, PATIENCE_MS),
      ]);
      if (metrics.status === 401 || metrics.status === 403) throw await refusal(metrics);
      ready = (await readiness.json()).status ?? "unknown";
      samples = metrics.ok ? parse(await metrics.text()) : null;
    } catch (error) {
      if (error instanceof ApiError && error.status > 0) throw error;
      return [{ name: "State", value: "unreachable", note: error instanceof Error ? error.message : "", state: "bad" }];
    }
    const state = /** @type {const} */ (ready === "ready" ? "good" : "bad");
    const provider = { name: "Provider", value: model.device === "cuda" ? "GPU" : "CPU", note: model.provider };
    // A proxy before several replicas tells no counts: each has its own.
    if (samples === null) return [{ name: "State", value: ready, note: "No counts are told here", state }, provider];
    const number = (/** @type {string} */ name) => total(samples, name);
    const now = { at: Date.now(), requests: number("attloc_http_requests_total"), audio: number("attloc_audio_seconds_total") };
    const before = this.#before ?? now;
    this.#before = now;
    const seconds = Math.max((now.at - before.at) / 1000, 1e-3);
    const analyses = number("attloc_real_time_factor_count");
    const factor = analyses ? number("attloc_real_time_factor_sum") / analyses : 0;
    const rate = number("attloc_windows_per_second");
    const shed = number("attloc_shed_total");
    return [
      { name: "State", value: ready, note: shed ? `${counted(shed, "request")} turned away` : "Nothing turned away", state },
      provider,
      { name: "Queue", value: trimmed(number("attloc_queue_windows"), 0), unit: "windows", note: `${counted(number("attloc_queue_recordings"), "recording")} under way` },
      { name: "Rate", value: rate ? trimmed(rate, rate < 10 ? 1 : 0) : "\u2013", unit: "windows/s", note: rate ? `${counted(Math.round(rate * model.window_seconds), "second")} of sound a second` : "Measured with the first recording" },
      { name: "Heard", value: now.audio ? span(now.audio) : "nothing", note: factor ? `Analysed ${counted(Math.round(1 / factor), "time")} faster than it sounds` : "Since the start" },
      { name: "Requests", value: now.requests.toLocaleString(), note: `${trimmed((now.requests - before.requests) / seconds, 1)}/s; ${counted(number("attloc_streams"), "stream")} open` },
    ];
  }
}

/** @param {Context} context */
function card({ model, theme }) {
  const facts = [
    ["Version", h("span", { class: "mono" }, model.version ?? "")],
    ["SHA-256", h("span", { class: "mono" }, model.sha256)],
    ["Sample rate", `${model.sample_rate.toLocaleString()} Hz`],
    ["Window", span(model.window_seconds)],
    ["Frame", `${model.n_fft} samples every ${model.hop} (${trimmed((1000 * model.hop) / model.sample_rate, 1)} ms)`],
    ["Mel bands", String(model.n_mels)],
  ];
  return h("section", { class: "card", "aria-label": "Model card" },
    h("div", { class: "panel about" }, h("h2", {}, model.name), h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "num" }, value)]))),
    h("div", { class: "panel wide-table", tabindex: "0", role: "group", "aria-label": "Labels" }, labelTable(model, palette(model.labels.filter((label) => label.scored !== false), theme.name))),
    h("div", { class: "panel about whole" }, h("h2", {}, "Measured"), nested(model.metrics, "The model card holds no measurements.")),
    h("div", { class: "panel about whole" }, h("h2", {}, "Trained on"), nested(model.training, "The model card does not say.")));
}

/** @param {import("../main.js").Model} model @param {Map<string, string>} colours */
function labelTable(model, colours) {
  const columns = ["Code", "Sound", "Tag from", "Event opens", "closes", "Median", "Gap closed", "Shortest"];
  return h("table", {},
    h("caption", {}, "Labels"),
    h("thead", {}, h("tr", {}, ...columns.map((text, index) => h("th", { scope: "col", class: index > 1 && "end" }, text)))),
    h("tbody", {}, ...model.labels.map((label) => {
      const decoder = model.events[label.code];
      const cells = decoder
        ? [label.threshold?.toFixed(2), decoder.onset_threshold.toFixed(3), decoder.offset_threshold.toFixed(3), span(decoder.median_s), span(decoder.max_gap_s), span(decoder.min_duration_s)]
        : Array(6).fill("\u2013");
      return h("tr", {}, h("td", { class: "mono" }, label.code),
        h("th", { scope: "row" }, swatch(colours.get(label.code) ?? "transparent"), label.name, label.scored === false && h("span", { class: "note" }, " (not reported)")),
        ...cells.map((text) => h("td", { class: "num end" }, text)));
    })));
}
