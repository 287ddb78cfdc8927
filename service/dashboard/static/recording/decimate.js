/** Long curves as the few points a screen can show: the least and the largest of each bucket, so no peak is lost. */

/**
 * @param {Float32Array} values
 * @param {import("./decode.js").Grid} grid
 * @param {number} since s @param {number} until s
 * @param {number} buckets about two points each
 * @returns {{x: number[], y: number[]}} seconds and values, a little beyond the window on both sides
 */
export function decimate(values, grid, since, until, buckets) {
  const first = Math.max(0, Math.floor((since - grid.first) / grid.hop) - 1);
  const last = Math.min(values.length, Math.ceil((until - grid.first) / grid.hop) + 2);
  const size = Math.max(1, Math.ceil((last - first) / buckets));
  /** @type {number[]} */
  const x = [];
  /** @type {number[]} */
  const y = [];
  const point = (/** @type {number} */ frame) => {
    x.push(grid.first + frame * grid.hop);
    y.push(values[frame]);
  };
  for (let start = first; start < last; start += size) {
    const end = Math.min(start + size, last);
    let low = start;
    let high = start;
    for (let frame = start + 1; frame < end; frame += 1) {
      if (values[frame] < values[low]) low = frame;
      if (values[frame] > values[high]) high = frame;
    }
    point(Math.min(low, high));
    if (low !== high) point(Math.max(low, high));
  }
  return { x, y };
}
