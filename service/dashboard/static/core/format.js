/** Numbers and times as people read them, in the browser's language and time zone. */

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

/** @param {number} ms since 1970 */
export const clock = (ms) => CLOCK.format(ms);

/** @param {number} ms since 1970 */
export const full = (ms) => FULL.format(ms);

/** The clock alone for today, with the day for other days. @param {number} ms @param {number} now */
export function moment(ms, now = Date.now()) {
  return new Date(ms).toDateString() === new Date(now).toDateString() ? clock(ms) : `${DAY.format(ms)}, ${clock(ms)}`;
}

/** A length of time. @param {number} seconds */
export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${trimmed(seconds, seconds < 10 ? 2 : 1)} s`;
  if (seconds < 3600) return parts(Math.round(seconds), 60, "min", "s");
  if (seconds < 86400) return parts(Math.round(seconds / 60), 60, "h", "min");
  return `${trimmed(seconds / 86400, 1)} d`;
}

/** @param {number} units @param {number} each @param {string} large @param {string} small */
function parts(units, each, large, small) {
  const rest = units % each;
  return `${Math.floor(units / each)} ${large}${rest ? ` ${rest} ${small}` : ""}`;
}

/** A position within a recording. @param {number} seconds */
export function position(seconds) {
  const minutes = Math.floor(seconds / 60);
  const rest = (seconds - 60 * minutes).toFixed(2).padStart(5, "0");
  return `${minutes}:${rest}`;
}

/** How long ago. @param {number} ms @param {number} now */
export function ago(ms, now = Date.now()) {
  const seconds = (now - ms) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${trimmed(bytes / 1024, 1)} KiB`;
  return `${trimmed(bytes / 1024 ** 2, 1)} MiB`;
}

/** @param {number} value @param {number} digits */
export const trimmed = (value, digits) => String(Number(value.toFixed(digits)));

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;
