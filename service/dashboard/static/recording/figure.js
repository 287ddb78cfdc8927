/**
 * The figure of a recording: spectrogram, curves and events, one below the other on one time axis, in the
 * order of what was heard, what the network made of it, what was decided.
 *
 * @typedef {import("./document.js").Recording} Recording
 * @typedef {import("./document.js").Kind} Kind
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {import("../core/api.js").Label} Label
 *
 * @typedef {object} Scene
 * @property {Recording} recording
 * @property {Label[]} labels
 * @property {Kind} kind
 * @property {SoundEvent[]} events
 * @property {[number, number]} range s
 * @property {string | null} picture of the spectrogram, a data URL
 * @property {boolean} live it goes on: no place is kept for a spectrogram
 * @property {string | null} focus the label that stands out
 * @property {{onset: number, offset: number} | null} thresholds of the label in focus
 * @property {Map<string, string>} colours
 * @property {"light" | "dark"} theme
 * @property {import("../core/theme.js").Tones} tones
 * @property {number} width px
 * @property {import("./gutter.js").Gutter} gutter
 */

import { axis, layout, plain } from "../core/plotly.js";
import { curves } from "./document.js";
import { decimate } from "./decimate.js";
import { isNarrow } from "./gutter.js";
import { ticks } from "./spectrogram.js";
import { timeTicks } from "./ticks.js";

const HEAD = 6;
const FOOT = 34;
const GAP = 14;
const CURVES = 208;
const LANE = 22;
const PICTURE = 176;
// Without a spectrogram a line in its place says why.
const NO_PICTURE = 40;

/** Space left and right of the time axis, px. @param {Scene} scene */
export const margins = ({ gutter, width }) => ({ l: gutter.left, r: isNarrow(width) ? 8 : 14 });

/** Heights of the rows and of all, and where the first that is drawn begins, px. @param {{recording: Recording, labels: Label[], live: boolean}} scene */
export function heights({ recording, labels, live }) {
  const top = recording.spectrogram ? PICTURE : live ? 1 : NO_PICTURE;
  const lanes = LANE * labels.length;
  const drawn = top + CURVES + lanes + 2 * GAP;
  return { top, lanes, drawn, first: recording.spectrogram ? HEAD : HEAD + top + GAP, all: drawn + HEAD + FOOT };
}

/** @param {Scene} scene */
export function traces(scene) {
  return [...lines(scene), ...bars(scene)];
}

/** @param {Scene} scene */
function lines({ recording, kind, range, focus, colours, tones, width }) {
  return curves(recording, kind).map(({ code, values }) => {
    const { x, y } = decimate(values, recording.grid, range[0], range[1], Math.max(200, width), kind !== "attention");
    return {
      type: "scatter", mode: "lines", x, y, yaxis: "y2", hoverinfo: "skip",
      line: { color: code === null ? tones.ink : colours.get(code), width: code !== null && code === focus ? 2.2 : 1.3 },
      opacity: focus === null || code === focus || code === null ? 1 : 0.25,
    };
  });
}

/** @param {Scene} scene */
function bars({ recording, labels, events, range, focus, colours, width }) {
  const least = (2 * (range[1] - range[0])) / width;
  return labels.map((label, lane) => {
    const drawn = events.filter((event) => event.label === label.code);
    return {
      type: "bar", orientation: "h", yaxis: "y3", name: plain(label.name), width: 0.56,
      y: drawn.map(() => lane), base: drawn.map((event) => event.onset),
      x: drawn.map((event) => Math.max(Math.min(event.offset, recording.duration) - event.onset, least)),
      marker: { color: colours.get(label.code), line: { width: 0 }, opacity: focus === null || focus === label.code ? 1 : 0.35 },
      hoverinfo: "none",
    };
  });
}

/** @param {Scene} scene */
export function frame(scene) {
  const { recording, labels, range, tones, width, gutter, kind } = scene;
  const { top, lanes, drawn, all } = heights(scene);
  const base = axis(tones);
  const bands = recording.spectrogram ? ticks(recording.spectrogram.bands_hz) : { at: [], text: [] };
  const rows = recording.spectrogram?.bands_hz.length ?? 1;
  return {
    ...layout(tones),
    width,
    height: all,
    margin: { ...margins(scene), t: HEAD, b: FOOT },
    dragmode: "zoom",
    hovermode: "closest",
    barmode: "overlay",
    images: image(scene, rows),
    shapes: shapes(scene),
    xaxis: {
      ...base, range, anchor: "y3", ...timeTicks(range, Math.max(4, Math.round(width / 100))), showline: true,
      minallowed: 0, maxallowed: Math.max(recording.duration, range[1]),
    },
    yaxis: {
      ...base, domain: [1 - top / drawn, 1], range: [-0.5, rows - 0.5], fixedrange: true, showgrid: false, visible: recording.spectrogram !== null,
      tickvals: bands.at, ticktext: isNarrow(width) ? bands.text : bands.text.map((text) => `${text} Hz`.replace("k Hz", " kHz")),
    },
    yaxis2: {
      ...base, domain: [(lanes + GAP) / drawn, (lanes + GAP + CURVES) / drawn], range: kind === "attention" ? [attentionFloor(recording), 1 + 0.02 * (1 - attentionFloor(recording))] : [0, scale(scene)], fixedrange: true,
      nticks: 5, rangemode: "tozero", tickformat: ".2~f",
    },
    yaxis3: {
      ...base, domain: [0, lanes / drawn], range: [labels.length - 0.5, -0.5], fixedrange: true,
      tickvals: labels.map((_, lane) => lane), ticktext: gutter.names.map(plain),
    },
  };
}

/** The top of the curves' axis: what is there to see, in round steps. @param {Scene} scene */
function scale({ recording, kind, thresholds }) {
  let most = thresholds?.onset ?? 0;
  for (const { values } of curves(recording, kind)) for (const value of values) most = Math.max(most, value);
  return 1.02 * ([0.1, 0.2, 0.3, 0.5, 0.75].find((top) => most <= top) ?? 1);
}

/** Where attention's axis begins: as close as round steps come to its least, since only differences say anything. @param {Recording} recording */
export function attentionFloor({ attention }) {
  let least = 1;
  for (const value of attention) least = Math.min(least, value);
  return [0.9, 0.75, 0.5].find((bottom) => bottom <= least) ?? 0;
}

/** @param {Scene} scene @param {number} rows */
function image({ recording, picture }, rows) {
  if (!picture || !recording.spectrogram) return [];
  const { hop, first, count } = recording.spectrogram;
  return [{
    source: picture, xref: "x", yref: "y", x: first - hop / 2, y: rows - 0.5, sizex: count * hop, sizey: rows, sizing: "stretch", layer: "above",
  }];
}

/** The thresholds of the label in focus. @param {Scene} scene */
function shapes({ thresholds, focus, colours, kind, tones }) {
  if (!thresholds || focus === null || kind !== "presence") return [];
  const line = (/** @type {number} */ level, /** @type {string} */ dash) => ({
    type: "line", xref: "paper", x0: 0, x1: 1, yref: "y2", y0: level, y1: level, line: { color: colours.get(focus) ?? tones.ink, width: 1, dash },
  });
  return [line(thresholds.onset, "dash"), line(thresholds.offset, "dot")];
}
