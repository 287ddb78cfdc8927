/**
 * Prometheus text, as far as this page reads it.
 *
 * @typedef {{name: string, value: number}} Sample
 */

/** @param {string} text @returns {Sample[]} */
export function parse(text) {
  /** @type {Sample[]} */
  const samples = [];
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z_:][\w:]*)(?:\{.*\})?\s+(\S+)/.exec(line);
    if (match) samples.push({ name: match[1], value: Number(match[2].replace("+Inf", "Infinity")) });
  }
  return samples;
}

/** Sum over the samples of a name, whatever their labels. @param {Sample[]} samples @param {string} name */
export function total(samples, name) {
  return samples.filter((sample) => sample.name === name).reduce((sum, sample) => sum + sample.value, 0);
}
