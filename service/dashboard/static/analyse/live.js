/**
 * What was heard live, lately, in the shape of a recording: the same figure draws both. Times are seconds
 * since the first line was laid; those of a later line are moved by as much as it began later.
 *
 * @typedef {import("../recording/document.js").Recording} Recording
 * @typedef {import("../core/api.js").SoundEvent} SoundEvent
 * @typedef {{hop: number, first: number, attention: number[], localization: Record<string, number[]>, presence: Record<string, number[]>, heard: number}} Frames
 *   the newest; some of them revise what came before
 */

const KEEP_S = 60;
const KINDS = /** @type {const} */ (["localization", "presence"]);

export class Live {
  /** @type {number | null} ms since 1970, the zero of all times */
  #origin = null;
  #shift = 0;
  /** Time of the first frame kept. @type {number | null} */
  #first = null;
  #hop = 1;
  /** @type {Map<string, number[]>} by kind and label, all of one length */
  #curves = new Map();
  /** @type {Map<string, SoundEvent & {open: boolean}>} by session and id */
  #events = new Map();
  /** Up to when curves have come. */
  until = 0;

  /** @param {any} message of the service */
  take(message) {
    if (message.type === "ready") this.#begin(Date.parse(message.recorded_at));
    if (message.type === "frames") this.#draw(message);
    if (message.type === "event") {
      const event = { ...message, onset: message.onset + this.#shift, offset: message.offset + this.#shift };
      this.#events.set(`${message.session} ${message.id}`, event);
    }
    if (message.type === "retracted") this.#events.delete(`${message.session} ${message.id}`);
  }

  /** By onset; those that are still heard reach up to now. @returns {SoundEvent[]} */
  events() {
    return [...this.#events.values()]
      .map((event) => (event.open ? { ...event, offset: Math.max(event.offset, this.until) } : event))
      .sort((a, b) => a.onset - b.onset);
  }

  /** @returns {Recording} */
  recording() {
    /** @param {string} kind @returns {Map<string, Float32Array>} */
    const byLabel = (kind) => new Map([...this.#curves]
      .filter(([name]) => name.startsWith(`${kind} `))
      .map(([name, values]) => [name.slice(kind.length + 1), Float32Array.from(values)]));
    return {
      id: null, source: "", recordedAt: this.#origin ?? 0, duration: this.until, sampleRate: 0, channels: 1, model: { name: "", version: "" },
      tags: [], warnings: [], events: this.events(), grid: { hop: this.#hop, first: this.#first ?? 0, duration: this.until },
      attention: Float32Array.from(this.#curves.get("attention") ?? []), localization: byLabel("localization"), presence: byLabel("presence"),
      spectrogram: null, sound: null,
    };
  }

  /** @param {number} startedAt ms since 1970 */
  #begin(startedAt) {
    this.#origin ??= startedAt;
    this.#shift = (startedAt - this.#origin) / 1000;
    // After a long break nothing of before is shown, and the silence between would fill the memory.
    if (this.#shift - this.until > KEEP_S) {
      this.#first = null;
      this.#curves.clear();
      this.#events.clear();
    }
    // What an interrupted line left open was heard up to its end.
    for (const event of this.#events.values()) if (event.open) Object.assign(event, { open: false, offset: Math.max(event.offset, this.until) });
  }

  /** @param {Frames} frames */
  #draw(frames) {
    const first = frames.first + this.#shift;
    this.#first ??= first;
    this.#hop = frames.hop;
    const at = Math.round((first - this.#first) / this.#hop);
    this.#put("attention", at, frames.attention);
    for (const kind of KINDS) for (const [code, values] of Object.entries(frames[kind])) this.#put(`${kind} ${code}`, at, values);
    this.until = Math.max(this.until, first + (frames.attention.length - 0.5) * this.#hop);
    this.#forget();
  }

  /** @param {string} name @param {number} at frame @param {number[]} values */
  #put(name, at, values) {
    const curve = this.#curves.get(name) ?? [];
    while (curve.length < at) curve.push(0);
    for (let frame = Math.max(0, -at); frame < values.length; frame += 1) curve[at + frame] = values[frame];
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
