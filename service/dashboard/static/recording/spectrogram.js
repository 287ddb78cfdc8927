/** The spectrogram as a picture: one pixel a column and band, ink on the ground of the theme. */

/**
 * @typedef {import("./document.js").WireSpectrogram} WireSpectrogram
 */

/** @param {string} text base64 */
function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

// The two headers of a BMP file, and four bytes for each of its 256 tones.
const HEADERS = 14 + 40;
const PIXELS_AT = HEADERS + 4 * 256;

/**
 * A BMP file, written here: a canvas that is read answers with noise where the browser is told to resist
 * fingerprinting, and with it would stand a picture of what was never heard.
 *
 * @param {WireSpectrogram} spectrogram
 * @param {"light" | "dark"} theme
 * @returns {string} a data URL
 */
export function picture(spectrogram, theme) {
  const rows = spectrogram.bands_hz.length;
  const columns = spectrogram.count;
  const stride = 4 * Math.ceil(columns / 4);
  const file = new Uint8Array(PIXELS_AT + stride * rows);
  const view = new DataView(file.buffer);
  view.setUint16(0, 0x424d);
  for (const [at, value] of [[2, file.length], [10, PIXELS_AT], [14, 40], [18, columns], [22, rows]]) view.setUint32(at, value, true);
  // One plane, 8 bits a pixel.
  view.setUint16(26, 1, true);
  view.setUint16(28, 8, true);
  file.set(ramp(theme), HEADERS);
  const levels = bytes(spectrogram.data);
  const [floor, ceiling] = extent(levels);
  // The lowest row comes first in the file as in the levels.
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < rows; row += 1) {
      const level = (levels[column * rows + row] - floor) / (ceiling - floor);
      file[PIXELS_AT + row * stride + column] = Math.round(255 * Math.min(Math.max(level, 0), 1));
    }
  }
  return `data:image/bmp;base64,${btoa(Array.from(file, (byte) => String.fromCharCode(byte)).join(""))}`;
}

// Further below the loudest, nothing that matters is to be seen: 80 of the 100 dB that 255 levels span.
const DEPTH = 204;

/**
 * The levels that ground and ink stand for: a quiet recording is drawn as dark as a loud one.
 *
 * @param {Uint8Array} levels
 * @returns {[number, number]}
 */
function extent(levels) {
  const counts = new Uint32Array(256);
  for (const level of levels) counts[level] += 1;
  const quantile = (/** @type {number} */ part) => {
    let seen = 0;
    return counts.findIndex((count) => (seen += count) >= part * levels.length);
  };
  const ceiling = Math.max(quantile(0.999), 1);
  return [Math.min(Math.max(quantile(0.02), ceiling - DEPTH), ceiling - 1), ceiling];
}

/**
 * Level to tone, 256 of them: from the ground to ink, or to chalk.
 *
 * @param {"light" | "dark"} theme
 * @returns {Uint8ClampedArray} blue, green, red and a byte that says nothing
 */
function ramp(theme) {
  const stops = theme === "dark"
    ? [[21, 27, 30], [36, 52, 60], [74, 104, 116], [150, 178, 184], [240, 246, 244]]
    : [[255, 255, 255], [214, 222, 225], [140, 156, 164], [66, 82, 92], [14, 20, 26]];
  const tones = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level += 1) {
    const place = (level / 255) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    for (let part = 0; part < 3; part += 1) {
      tones[4 * level + 2 - part] = stops[below][part] + (place - below) * (stops[below + 1][part] - stops[below][part]);
    }
  }
  return tones;
}

/**
 * Where round frequencies lie between the bands.
 *
 * @param {number[]} bands Hz, ascending
 * @returns {{at: number[], text: string[]}} positions in rows, 0 at the centre of the lowest
 */
export function ticks(bands) {
  /** @type {{at: number[], text: string[]}} */
  const found = { at: [], text: [] };
  for (const hertz of [100, 500, 1000, 2000, 4000, 8000, 16000]) {
    const above = bands.findIndex((band) => band >= hertz);
    if (above <= 0) continue;
    found.at.push(above - (bands[above] - hertz) / (bands[above] - bands[above - 1]));
    found.text.push(hertz < 1000 ? String(hertz) : `${hertz / 1000}k`);
  }
  return found;
}
