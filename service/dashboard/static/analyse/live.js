/**
 * What was heard live, lately, in the shape of a recording: the same figure draws both.
 *
 * @typedef {import("../recording/document.js").Recording} Recording
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {{hop: number, first: number, attention: number[], localization: Record<string, number[]>, presence: Record<string, number[]>}} Frames
 *   seconds since the stream began; may repeat what came before, revised
 */

const KEEP_S = 60;

export class Live {
  /** @type {number | null} seconds, the time of the first frame kept */
  #first = null;
  #hop = 1;
  /** @type {Map<string, number[]>} by kind and label, all of one length */
  #curves = new Map();
  /** @type {Map<string, SoundEvent & {open: boolean}>} */
  #events = new Map();
  /** Up to when curves have come, s. */
  until = 0;

  /** @param {Frames} frames */
  take(frames) {
    this.#first ??= frames.first;
    this.#hop = frames.hop;
    const at = Math.round((frames.first - this.#first) / this.#hop);
    this.#put("attention", at, frames.attention);
    for (const kind of /** @type {const} */ (["localization", "presence"])) {
      for (const [code, values] of Object.entries(frames[kind])) this.#put(`${kind} ${code}`, at, values);
    }
    this.until = Math.max(this.until, frames.first + (frames.attention.length - 0.5) * this.#hop);
    this.#forget();
  }

  /** @param {string} id @param {SoundEvent} event @param {boolean} open whether it still goes on */
  hear(id, event, open) {
    this.#events.set(id, { ...event, open });
  }

  /** @param {string} id of an event that was none after all */
  unhear(id) {
    this.#events.delete(id);
  }

  /** By onset; those that go on reach up to now. @returns {SoundEvent[]} */
  events() {
    return [...this.#events.values()].map((event) => (event.open ? { ...event, offset: Math.max(event.offset, this.until) } : event)).sort((a, b) => a.onset - b.onset);
  }

  /** @returns {Recording} */
  recording() {
    /** @param {string} kind @returns {Map<string, Float32Array>} */
    const byLabel = (kind) => new Map([...this.#curves].filter(([name]) => name.startsWith(`${kind} `)).map(([name, values]) => [name.slice(kind.length + 1), Float32Array.from(values)]));
    return {
      id: null, source: "", recordedAt: 0, duration: this.until, sampleRate: 0, channels: 1, model: { name: "", version: "" }, tags: [], warnings: [],
      events: this.events(), grid: { hop: this.#hop, first: this.#first ?? 0, duration: this.until },
      attention: Float32Array.from(this.#curves.get("attention") ?? []), localization: byLabel("localization"), presence: byLabel("presence"),
      spectrogram: null, sound: null,
    };
  }

  /** @param {string} name @param {number} at @param {number[]} values */
  #put(name, at, values) {
    const curve = this.#curves.get(name) ?? [];
    while (curve.length < at) curve.push(0);
    for (let frame = 0; frame < values.length; frame += 1) if (at + frame >= 0) curve[at + frame] = values[frame];
    this.#curves.set(name, curve);
  }

  #forget() {
    const since = this.until - KEEP_S;
    const stale = Math.floor((since - (this.#first ?? 0)) / this.#hop);
    if (this.#first === null || stale <= 0) return;
    for (const curve of this.#curves.values()) curve.splice(0, stale);
    this.#first += stale * this.#hop;
    for (const [id, event] of this.#events) if (!event.open && event.offset < since) this.#events.delete(id);
  }
}
