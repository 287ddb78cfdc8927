/** Marks of a time axis in steps that clocks have, written as everywhere on the page: minutes and seconds. */

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/**
 * @param {[number, number]} range s
 * @param {number} most about so many
 * @returns {{tickvals: number[], ticktext: string[]}}
 */
export function timeTicks([since, until], most) {
  const step = STEPS.find((each) => (until - since) / each <= most) ?? /** @type {number} */ (STEPS.at(-1));
  const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  const first = Math.ceil(since / step - 1e-9);
  const count = Math.max(0, Math.floor(until / step + 1e-9) - first + 1);
  const tickvals = Array.from({ length: count }, (_, at) => (first + at) * step);
  return { tickvals, ticktext: tickvals.map((seconds) => written(seconds, digits)) };
}

/** @param {number} seconds @param {number} digits */
function written(seconds, digits) {
  const minutes = Math.floor(seconds / 60 + 1e-9);
  const rest = Math.max(0, seconds - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? 3 + digits : 2, "0")}`;
}
