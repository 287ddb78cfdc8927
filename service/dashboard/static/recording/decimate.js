/** Long curves as the few points a screen can show: the largest of each bucket, so no peak is lost, and the least. */

// Where so many frames fall on a pixel, curves that go up and down in each are but a block of colour.
const CROWDED = 4;

/**
 * @param {Float32Array} values
 * @param {import("./decode.js").Grid} grid
 * @param {number} since s @param {number} until s
 * @param {number} buckets about two points each
 * @param {boolean} [peaks] in crowded buckets leave out the least: what is looked for is how high a curve gets
 * @returns {{x: number[], y: number[]}} seconds and values, a little beyond the window on both sides
 */
export function decimate(values, grid, since, until, buckets, peaks = false) {
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
    if (peaks && size >= CROWDED) low = high;
    point(Math.min(low, high));
    if (low !== high) point(Math.max(low, high));
  }
  return { x, y };
}
