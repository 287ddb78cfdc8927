/**
 * What the timeline of one source holds from an instant on, kept up to date: history by pages, then the
 * stream from the cursor where history ended, or polls where no stream is to be had.
 *
 * @typedef {import("./lanes.js").LaneEvent} LaneEvent
 * @typedef {"loading" | "live" | "polling" | "waiting" | "still" | "failed"} FeedState
 * @typedef {{id?: string, seq: number, recording_id: string, label: string, name?: string, onset: string, offset: string, confidence: number}} WireEvent
 * @typedef {{events?: WireEvent[], removed?: string[], reset?: boolean, cursor?: string, more?: boolean}} Page
 */

import { ApiError, refusal } from "../core/api.js";
import { Parser, messages } from "../core/sse.js";

const PAGE = 1000;
// More than any screen can tell apart; a longer look is cut short at its older end and says so.
const MOST_EVENTS = 20000;
const SHORTEST_CUT_MS = 60000;
const POLL_MS = 2000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20000;

export class Feed extends EventTarget {
  /** @type {Map<string, LaneEvent>} */
  events = new Map();
  /** @type {FeedState} */
  state = "loading";
  /** @type {unknown} */
  error = null;
  /** Where there are more events than are kept, they are kept from here on, ms. @type {number | null} */
  cutAt = null;
  #cursor = "";
  #stop = new AbortController();

  /** @param {import("../core/api.js").Api} api @param {string} source */
  constructor(api, source) {
    super();
    this.api = api;
    this.source = source;
  }

  /**
   * Look at a window; one without an end is followed.
   *
   * @param {number} since ms @param {number | null} until ms
   */
  async open(since, until) {
    this.close();
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#become("loading");
    try {
      const from = await this.#load(since, until, signal);
      if (until === null) await this.#follow(from, signal);
      else this.#become("still");
    } catch (error) {
      if (signal.aborted) return;
      this.error = error;
      this.#become("failed");
    }
  }

  close() {
    this.#stop.abort();
  }

  /**
   * Pages come oldest first: where there are too many, the window is halved until its newer part fits.
   *
   * @param {number} since @param {number | null} until @param {AbortSignal} signal
   * @returns {Promise<number>} from when on all is there
   */
  async #load(since, until, signal) {
    const end = until ?? Date.now();
    let from = since;
    for (;;) {
      const { events, cursor, whole } = await this.#pages(from, until, signal);
      if (whole || end - from < SHORTEST_CUT_MS) {
        this.events = events;
        this.cutAt = from > since ? from : null;
        this.#cursor = cursor;
        this.#changed();
        return from;
      }
      from += (end - from) / 2;
    }
  }

  /** @param {number} since @param {number | null} until @param {AbortSignal} signal */
  async #pages(since, until, signal) {
    const window = { source: this.source, since: iso(since), until: until === null ? null : iso(until), limit: PAGE };
    /** @type {Map<string, LaneEvent>} */
    const events = new Map();
    let cursor = "";
    let more = true;
    while (more && events.size < MOST_EVENTS) {
      /** @type {Page} */
      const page = await this.api.get("localize", { ...window, after: cursor }, { signal });
      apply(events, page);
      cursor = page.cursor ?? cursor;
      more = page.more ?? false;
    }
    return { events, cursor, whole: !more };
  }

  /** @param {number} since @param {AbortSignal} signal */
  async #follow(since, signal) {
    let wait = FIRST_WAIT_MS;
    while (!signal.aborted) {
      const parser = new Parser();
      try {
        const answer = await this.#stream(since, signal);
        if (!answer.ok) {
          await this.#poll(since, await refusal(answer), signal);
          continue;
        }
        wait = FIRST_WAIT_MS;
        this.#become("live");
        for await (const message of messages(answer, parser)) this.#take(message);
      } catch (error) {
        if (signal.aborted) return;
        // No answer, or one that broke off: come back. A refusal will not change by itself.
        if (error instanceof ApiError && error.status > 0) throw error;
      }
      // The cursor also moves past changes that are none of ours, without a message.
      this.#cursor = parser.lastId || this.#cursor;
      this.#become("waiting");
      await pause(parser.retry ?? wait * (0.5 + Math.random()), signal);
      wait = Math.min(2 * wait, LONGEST_WAIT_MS);
    }
  }

  /** @param {number} since @param {AbortSignal} signal */
  #stream(since, signal) {
    const url = this.api.url("localize/stream", { source: this.source, since: iso(since) });
    return this.api.fetch(url, { signal, headers: { Accept: "text/event-stream", "Last-Event-ID": this.#cursor } });
  }

  /** @param {import("../core/sse.js").Message} message */
  #take(message) {
    /** @type {Page & Partial<WireEvent>} */
    const content = JSON.parse(message.data);
    apply(this.events, content);
    this.#cursor = message.id || this.#cursor;
    this.#changed();
  }

  /**
   * The stream is refused (too many of them, a proxy that knows none): poll for a minute, then try again.
   *
   * @param {number} since @param {ApiError} reason @param {AbortSignal} signal
   */
  async #poll(since, reason, signal) {
    if (reason.status === 401 || reason.status === 403) throw reason;
    const end = Date.now() + 60000;
    let etag = "";
    while (!signal.aborted && Date.now() < end) {
      const url = this.api.url("localize", { source: this.source, since: iso(since), after: this.#cursor, limit: PAGE });
      /** @type {Record<string, string>} */
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await this.api.fetch(url, { signal, headers, cache: "no-store" });
      if (answer.ok) {
        /** @type {Page} */
        const page = await answer.json();
        const moved = page.cursor !== undefined && page.cursor !== this.#cursor;
        etag = moved ? "" : answer.headers.get("ETag") ?? "";
        this.#cursor = page.cursor ?? this.#cursor;
        apply(this.events, page);
        this.#become("polling");
        this.#changed();
        if (page.more) continue;
      } else if (answer.status === 401 || answer.status === 403) {
        throw await refusal(answer);
      } else if (answer.status !== 304) {
        this.#become("waiting");
      }
      await pause(POLL_MS, signal);
    }
  }

  /** @param {FeedState} state */
  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * @param {Map<string, LaneEvent>} events
 * @param {Page} page
 */
export function apply(events, page) {
  if (page.reset) events.clear();
  for (const id of page.removed ?? []) events.delete(id);
  for (const wire of page.events ?? []) {
    const id = wire.id ?? String(wire.seq);
    events.set(id, {
      id, seq: wire.seq, recordingId: wire.recording_id, label: wire.label, name: wire.name ?? wire.label,
      onset: Date.parse(wire.onset), offset: Date.parse(wire.offset), confidence: wire.confidence,
    });
  }
}

/** @param {number} ms */
const iso = (ms) => new Date(ms).toISOString();

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} ends at once when aborted */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
