/**
 * A recording's document, as `POST /tag` and `GET /localize/{id}` answer it, made ready to draw.
 *
 * @typedef {import("./decode.js").Grid} Grid
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {"presence" | "localization" | "attention"} Kind
 * @typedef {{hop: number, first: number, count: number, bands_hz: number[], low_db: number, high_db: number, data: string}} WireSpectrogram
 *
 * @typedef {object} Recording
 * @property {string | null} id null: not stored
 * @property {string} source
 * @property {number} recordedAt ms since 1970
 * @property {number} duration s
 * @property {number} sampleRate Hz
 * @property {number} channels
 * @property {{name: string, version: string}} model
 * @property {{label: string, name: string, score: number, active: boolean}[]} tags
 * @property {SoundEvent[]} events
 * @property {string[]} warnings
 * @property {Grid} grid
 * @property {Float32Array} attention
 * @property {Map<string, Float32Array>} localization by label
 * @property {Map<string, Float32Array>} presence by label
 * @property {WireSpectrogram | null} spectrogram
 * @property {Blob | null} sound what was analysed, where it was analysed on this page
 */

/**
 * @param {any} wire
 * @param {Blob | null} [sound]
 * @returns {Recording}
 */
export function read(wire, sound = null) {
  const frames = wire.frames ?? { hop: 1, first: 0, attention: [], localization: {}, presence: {} };
  return {
    id: wire.id,
    source: wire.source,
    recordedAt: Date.parse(wire.recorded_at),
    duration: wire.duration,
    sampleRate: wire.sample_rate,
    channels: wire.channels,
    model: wire.model,
    tags: wire.tags,
    events: wire.events,
    warnings: wire.warnings ?? [],
    grid: { hop: frames.hop, first: frames.first, duration: wire.duration },
    attention: Float32Array.from(frames.attention),
    localization: byLabel(frames.localization),
    presence: byLabel(frames.presence),
    spectrogram: wire.spectrogram ?? null,
    sound,
  };
}

/** @param {Record<string, number[]>} curves */
function byLabel(curves) {
  return new Map(Object.entries(curves).map(([code, values]) => [code, Float32Array.from(values)]));
}

/**
 * The curves of a kind: a label's colour and name go with those that have one.
 *
 * @param {Recording} recording @param {Kind} kind
 * @returns {{code: string | null, values: Float32Array}[]}
 */
export function curves(recording, kind) {
  if (kind === "attention") return [{ code: null, values: recording.attention }];
  return [...recording[kind]].map(([code, values]) => ({ code, values }));
}

/** The frame nearest to a time. @param {Grid} grid @param {number} seconds @param {number} count */
export function frameAt(grid, seconds, count) {
  return Math.min(Math.max(Math.round((seconds - grid.first) / grid.hop), 0), count - 1);
}

/**
 * The labels of a recording in the model's order; those of a model long gone come last.
 *
 * @param {Recording} recording @param {import("../core/api.js").Label[]} labels of the model
 * @returns {import("../core/api.js").Label[]}
 */
export function labelsOf(recording, labels) {
  const known = labels.filter((label) => label.scored !== false);
  const codes = new Set(known.map((label) => label.code));
  return [...known, ...recording.tags.filter((tag) => !codes.has(tag.label)).map((tag) => ({ code: tag.label, name: tag.name }))];
}

// Ten minutes at a hop of 16 ms; beyond it a point stands for several frames.
const MOST_POINTS = 37500;

/**
 * What to ask for as `resolution`, so that an hour's curves stay small.
 *
 * @param {number | null} duration s, where it is known
 * @param {{hop: number, sample_rate: number}} model
 * @returns {number | null} s; null: the model's own
 */
export function resolution(duration, model) {
  const hop = model.hop / model.sample_rate;
  const group = Math.ceil((duration ?? 0) / hop / MOST_POINTS);
  return group > 1 ? group * hop : null;
}
