/**
 * One lane a label on the clock. Draws what it is given; moving and picking are told to the view.
 *
 * @typedef {import("./lanes.js").LaneEvent} LaneEvent
 * @typedef {import("./lanes.js").Block} Block
 * @typedef {import("../core/api.js").Label} Label
 * @typedef {{since: number, until: number}} Window ms since 1970
 */

import { clock, counted, moment, span } from "../core/format.js";
import { CONFIG, axis, layout, plain, plotly } from "../core/plotly.js";
import { blocks } from "./lanes.js";

// A sound of a tenth of a second stays visible, and can be clicked, in a window of days.
const LEAST_PX = 3;
const MARGIN = { l: 0, r: 0, t: 0, b: 38 };
// Where the bars lie in a lane: in its middle beside the name, below the name where there is no room beside it.
const BESIDE = { shift: 0, width: 0.5 };
const BELOW = { shift: 0.2, width: 0.42 };

export class TimelineChart extends EventTarget {
  /** @type {any} */
  #plotly = null;
  /** @type {Block[][]} */
  #blocks = [];
  /**
   * How far the clocks here are ahead of UTC, ms. One for all that is drawn, that of the window's end: when the
   * clocks are put back, an axis of what they show would go an hour backwards.
   */
  #ahead = 0;
  /** @type {Window} */
  window = { since: 0, until: 1 };

  /**
   * @param {HTMLElement} host its size is the chart's
   * @param {() => {colours: Map<string, string>, tones: import("../core/theme.js").Tones}} look
   */
  constructor(host, look) {
    super();
    this.host = host;
    /** @type {Label[]} */
    this.labels = [];
    this.look = look;
  }

  /** @param {Label[]} labels @param {Iterable<LaneEvent>} events @param {Window} window @param {number} now ms */
  async draw(labels, events, window, now) {
    this.labels = labels;
    this.window = window;
    this.#ahead = -60000 * new Date(window.until).getTimezoneOffset();
    this.#plotly ??= await plotly();
    const width = this.host.clientWidth;
    if (width === 0) return;
    const msPerPx = (window.until - window.since) / width;
    const lanes = new Map(this.labels.map((label) => [label.code, /** @type {LaneEvent[]} */ ([])]));
    for (const event of events) {
      if (event.offset >= window.since && event.onset <= window.until) lanes.get(event.label)?.push(event);
    }
    this.#blocks = this.labels.map((label) => blocks(lanes.get(label.code) ?? [], LEAST_PX * msPerPx));
    const { colours, tones } = this.look();
    const place = getComputedStyle(this.host).getPropertyValue("--names").trim() === "above" ? BELOW : BESIDE;
    await this.#plotly.react(this.host, this.#traces(colours, LEAST_PX * msPerPx, place), this.#layout(tones, now, place), CONFIG);
    if (!this.host.dataset.wired) this.#wire();
  }

  dispose() {
    if (this.#plotly) this.#plotly.purge(this.host);
  }

  /** @param {Map<string, string>} colours @param {number} least ms @param {typeof BESIDE} place */
  #traces(colours, least, place) {
    return this.labels.map((label, lane) => {
      const drawn = this.#blocks[lane];
      return {
        type: "bar",
        orientation: "h",
        name: plain(label.name),
        y: drawn.map(() => lane + place.shift),
        base: drawn.map((block) => this.#toPlot(block.onset)),
        x: drawn.map((block) => Math.max(block.offset - block.onset, least)),
        width: place.width,
        marker: { color: colours.get(label.code), opacity: drawn.map((block) => 0.55 + 0.45 * Math.sqrt(block.confidence)), line: { width: 0 } },
        hovertext: drawn.map((block) => describe(plain(label.name), block)),
        hovertemplate: "%{hovertext}<extra></extra>",
      };
    });
  }

  /** @param {import("../core/theme.js").Tones} tones @param {number} now @param {typeof BESIDE} place */
  #layout(tones, now, place) {
    const { since, until } = this.window;
    return {
      ...layout(tones),
      width: this.host.clientWidth,
      height: this.host.clientHeight,
      margin: MARGIN,
      hovermode: "closest",
      barmode: "overlay",
      xaxis: { ...axis(tones), type: "date", range: [this.#toPlot(since), this.#toPlot(until)], nticks: Math.max(3, Math.round(this.host.clientWidth / 110)), gridcolor: tones.faint },
      yaxis: {
        ...axis(tones), range: [this.labels.length - 0.5, -0.5], fixedrange: true, showticklabels: false, ticks: "",
        tickvals: this.labels.map((_, lane) => lane + place.shift), gridcolor: tones.line,
      },
      shapes: [{
        type: "line", x0: this.#toPlot(now), x1: this.#toPlot(now), y0: 0, y1: 1, yref: "paper", line: { color: tones.ink, width: 1 }, layer: "above",
      }],
    };
  }

  #wire() {
    this.host.dataset.wired = "yes";
    const chart = /** @type {any} */ (this.host);
    const moved = (/** @type {Record<string, any>} */ change) => {
      const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (range[0] === undefined || range[1] === undefined) return;
      this.#tell("move", { since: this.#fromPlot(range[0]), until: this.#fromPlot(range[1]) });
    };
    chart.on("plotly_relayout", moved);
    chart.on("plotly_click", (/** @type {{points: {curveNumber: number, pointIndex: number}[]}} */ { points }) => {
      const [point] = points;
      if (point) this.#tell("pick", this.#blocks[point.curveNumber][point.pointIndex]);
    });
  }

  /** What clocks here show, as text: a number Plotly would itself take to the browser's time zone. @param {number} ms */
  #toPlot(ms) {
    return new Date(ms + this.#ahead).toISOString();
  }

  /** @param {string} plotted `yyyy-mm-dd hh:mm:ss.ssss` or less of it @returns {number} ms */
  #fromPlot(plotted) {
    return Date.parse(`${plotted.replace(" ", "T").replace(/(\.\d{3})\d+/, "$1")}${plotted.length > 10 ? "Z" : ""}`) - this.#ahead;
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @param {string} name @param {Block} block */
function describe(name, block) {
  const [first] = block.events;
  const when = `${moment(block.onset)} to ${clock(block.offset)}`;
  const length = span((block.offset - block.onset) / 1000);
  return block.events.length === 1
    ? `${name}, ${length}<br>${when}<br>confidence ${first.confidence.toFixed(2)}`
    : `${name}, ${counted(block.events.length, "event")} in ${length}<br>${when}<br>click to zoom in`;
}
