/**
 * The thresholds of the sliders and the events they give.
 *
 * @typedef {import("./document.js").Recording} Recording
 * @typedef {import("../core/api.js").Decoder} Decoder
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 */

import { decode, smoothed } from "./decode.js";

/** For a label of a model long gone, as the service has it. @type {Decoder} */
const UNKNOWN = { onset_threshold: 0.5, offset_threshold: 0.5, median_s: 0, max_gap_s: 0, min_duration_s: 0 };

/**
 * A decoder with another onset threshold; the offset threshold keeps its proportion to it, as it does in
 * the service's own `threshold` parameter.
 *
 * @param {Decoder} decoder @param {number} threshold
 * @returns {Decoder}
 */
export function withThreshold(decoder, threshold) {
  const depth = decoder.onset_threshold ? decoder.offset_threshold / decoder.onset_threshold : 1;
  return { ...decoder, onset_threshold: threshold, offset_threshold: threshold * Math.min(1, depth) };
}

export class Thresholds {
  /** @type {Map<string, number>} those that were moved, by label code */
  #moved = new Map();
  /** @type {Map<string, Float32Array>} the median does not depend on thresholds */
  #smooth = new Map();

  /** @param {Recording} recording @param {Record<string, Decoder>} decoders the model's, by label code */
  constructor(recording, decoders) {
    this.recording = recording;
    this.decoders = decoders;
  }

  get touched() {
    return this.#moved.size > 0;
  }

  /** @param {string} code @returns {Decoder} */
  decoder(code) {
    const decoder = this.decoders[code] ?? UNKNOWN;
    const moved = this.#moved.get(code);
    return moved === undefined ? decoder : withThreshold(decoder, moved);
  }

  /** @param {string} code */
  value(code) {
    return this.decoder(code).onset_threshold;
  }

  /** @param {string} code @param {number} value */
  move(code, value) {
    this.#moved.set(code, value);
  }

  reset() {
    this.#moved.clear();
  }

  /** The service's own events, except for labels whose threshold was moved. @returns {SoundEvent[]} by onset */
  events() {
    const kept = this.recording.events.filter((event) => !this.#moved.has(event.label));
    const fresh = [...this.#moved.keys()].flatMap((code) => this.#decode(code));
    return [...kept, ...fresh].sort((a, b) => a.onset - b.onset || (a.label < b.label ? -1 : 1));
  }

  /** @param {string} code */
  #decode(code) {
    const presence = this.recording.presence.get(code);
    if (!presence) return [];
    const decoder = this.decoder(code);
    const smooth = this.#smooth.get(code) ?? smoothed(presence, this.recording.grid, decoder);
    this.#smooth.set(code, smooth);
    return decode(presence, this.recording.grid, decoder, code, smooth);
  }
}
