/**
 * Prometheus text, as far as this page reads it.
 *
 * @typedef {{name: string, labels: Record<string, string>, value: number}} Sample
 */

/** @param {string} text @returns {Sample[]} */
export function parse(text) {
  /** @type {Sample[]} */
  const samples = [];
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
    if (!match || line.startsWith("#")) continue;
    /** @type {Record<string, string>} */
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value;
    samples.push({ name: match[1], labels, value: Number(match[3].replace("+Inf", "Infinity")) });
  }
  return samples;
}

/** Sum over the samples of a name, or nothing where there is none. @param {Sample[]} samples @param {string} name @param {Record<string, string>} [labels] */
export function total(samples, name, labels = {}) {
  const found = samples.filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
  return found.length === 0 ? null : found.reduce((sum, sample) => sum + sample.value, 0);
}
