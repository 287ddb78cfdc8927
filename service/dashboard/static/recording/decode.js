/**
 * Presence curves to events, as `service/engine/events.py` does it; a test holds the two together.
 * Done here so that a slider redraws the events while it moves.
 *
 * @typedef {import("../core/api.js").Decoder} Decoder
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {{hop: number, first: number, duration: number}} Grid seconds
 */

/**
 * Events of one label, by onset.
 *
 * @param {Float32Array} presence
 * @param {Grid} grid
 * @param {Decoder} decoder
 * @param {string} label
 * @param {Float32Array} [smooth] what `smoothed` gives, where it is at hand: thresholds do not change it
 * @returns {SoundEvent[]}
 */
export function decode(presence, grid, decoder, label, smooth = smoothed(presence, grid, decoder)) {
  const runs = activeRuns(smooth, decoder.onset_threshold, decoder.offset_threshold);
  return closeGaps(runs, wholeFrames(decoder.max_gap_s, grid.hop))
    .filter(([start, end]) => (end - start) * grid.hop >= decoder.min_duration_s - 1e-9)
    .map(([start, end]) => {
      // The outermost frames also stand for what precedes and follows them.
      const onset = start === 0 ? 0 : grid.first + (start - 0.5) * grid.hop;
      const offset = end === presence.length ? grid.duration : grid.first + (end - 0.5) * grid.hop;
      return { label, onset, offset: Math.min(offset, grid.duration), confidence: largest(smooth, start, end) };
    });
}

/** The curve after the decoder's median filter. @param {Float32Array} presence @param {Grid} grid @param {Decoder} decoder */
export function smoothed(presence, grid, decoder) {
  return medianFilter(presence, roundHalfEven(decoder.median_s / grid.hop));
}

/**
 * Running median, the ends repeated, an even number of frames widened by one. The span is kept sorted:
 * each step takes one value out and puts one in.
 *
 * @param {Float32Array} curve
 * @param {number} frames
 */
export function medianFilter(curve, frames) {
  const half = Math.floor(frames / 2);
  if (half === 0 || curve.length === 0) return curve;
  const at = (/** @type {number} */ index) => curve[Math.min(Math.max(index, 0), curve.length - 1)];
  const span = Float32Array.from({ length: 2 * half + 1 }, (_, offset) => at(offset - half)).sort();
  const result = new Float32Array(curve.length);
  for (let frame = 0; frame < curve.length; frame += 1) {
    result[frame] = span[half];
    exchange(span, at(frame - half), at(frame + half + 1));
  }
  return result;
}

/**
 * Runs of frames at or above the lower threshold that reach the onset threshold.
 *
 * @param {Float32Array} curve @param {number} onset @param {number} offset
 * @returns {[number, number][]} first frames and one past the last
 */
export function activeRuns(curve, onset, offset) {
  // The service compares in single precision.
  const high = Math.fround(onset);
  const low = Math.fround(Math.min(onset, offset));
  /** @type {[number, number][]} */
  const runs = [];
  let start = -1;
  let reached = false;
  for (let frame = 0; frame <= curve.length; frame += 1) {
    const active = frame < curve.length && curve[frame] >= low;
    if (active) {
      if (start < 0) start = frame;
      reached ||= curve[frame] >= high;
    } else if (start >= 0) {
      if (reached) runs.push([start, frame]);
      start = -1;
      reached = false;
    }
  }
  return runs;
}

/** @param {[number, number][]} runs @param {number} maxGapFrames @returns {[number, number][]} */
function closeGaps(runs, maxGapFrames) {
  /** @type {[number, number][]} */
  const closed = [];
  for (const [start, end] of runs) {
    const last = closed.at(-1);
    if (last && start - last[1] <= maxGapFrames) last[1] = end;
    else closed.push([start, end]);
  }
  return closed;
}

/** Put one value into a sorted array in the place of another. @param {Float32Array} sorted @param {number} out @param {number} into */
function exchange(sorted, out, into) {
  let place = sorted.indexOf(out);
  while (place + 1 < sorted.length && sorted[place + 1] < into) {
    sorted[place] = sorted[place + 1];
    place += 1;
  }
  while (place > 0 && sorted[place - 1] > into) {
    sorted[place] = sorted[place - 1];
    place -= 1;
  }
  sorted[place] = into;
}

/** @param {Float32Array} curve @param {number} start @param {number} end */
function largest(curve, start, end) {
  let most = 0;
  for (let frame = start; frame < end; frame += 1) most = Math.max(most, curve[frame]);
  return most;
}

/** Frames that fit into a time, a rounding error of the division not counted. @param {number} seconds @param {number} hop */
const wholeFrames = (seconds, hop) => Math.trunc(seconds / hop + 1e-6);

/** As Python rounds. @param {number} value */
function roundHalfEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
