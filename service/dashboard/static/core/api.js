/** The service's HTTP interface: addresses, the key, problem documents. */

import { Keys } from "./keys.js";

/**
 * @typedef {{code: string, name: string, scored?: boolean, threshold?: number | null}} Label
 * @typedef {{onset_threshold: number, offset_threshold: number, median_s: number, max_gap_s: number, min_duration_s: number}} Decoder
 * @typedef {{label: string, name?: string, onset: number, offset: number, confidence: number}} SoundEvent seconds into a recording
 * @typedef {{detail?: string, title?: string, status?: number, errors?: {name?: string, detail?: string}[], retry_after?: number}} Problem
 */

/** A refusal in the service's own words, or what kept us from hearing them. */
export class ApiError extends Error {
  /** @param {number} status 0: no answer at all @param {Problem} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || "The service refused without saying why.");
    this.status = status;
    this.title = problem.title || (status === 0 ? "No connection" : `Refused (${status})`);
    this.complaints = (problem.errors ?? []).map((each) => each.detail ?? "").filter((text) => text && text !== this.message);
    this.retryAfter = problem.retry_after ?? null;
  }

  static unreachable() {
    return new ApiError(0, { title: "No connection", detail: "The service does not answer. It may be starting anew, or the network is down." });
  }
}

/** Whether what is refused now may be answered later: away (for a proxy too), overloaded, a quota used up. @param {unknown} error @returns {error is ApiError} */
export const mayPass = (error) => error instanceof ApiError && [0, 429, 502, 503, 504].includes(error.status);

// A view asks several things at once, more than a small quota lets through in a second.
const PATIENCE_S = 10;

export class Api {
  keys = new Keys();
  // Relative to the page, so that it works behind a proxy that serves it below a path.
  #base = new URL(".", document.baseURI);

  /** @param {string} path @param {Record<string, string | number | null | undefined>} [params] */
  url(path, params = {}) {
    const url = new URL(path, this.#base);
    for (const [name, value] of Object.entries(params)) {
      if (value !== null && value !== undefined && value !== "") url.searchParams.append(name, String(value));
    }
    return url;
  }

  /**
   * An answer whatever its status, the key sent with it; asks for a key where one is missing or wrong, and waits
   * for its turn where the key's quota is used up for a moment.
   *
   * @param {string | URL} url
   * @param {RequestInit} [init]
   * @param {number} [patienceMs] in place of a signal: no answer for so long is none; a question about the key takes as long as it takes
   * @returns {Promise<Response>}
   */
  async fetch(url, init = {}, patienceMs) {
    for (;;) {
      const sent = this.keys.key;
      const signal = patienceMs ? AbortSignal.timeout(patienceMs) : init.signal;
      let answer;
      try {
        answer = await fetch(url, { ...init, signal, headers: { ...init.headers, ...this.keys.headers } });
      } catch (error) {
        if (init.signal?.aborted) throw error;
        throw ApiError.unreachable();
      }
      if (await soon(answer)) continue;
      if (!(await this.mayRetry(answer.status, sent))) return answer;
    }
  }

  /**
   * @param {string} path
   * @param {Record<string, string | number | null | undefined>} [params]
   * @param {RequestInit} [init]
   * @returns {Promise<any>} the JSON document
   * @throws {ApiError}
   */
  async get(path, params = {}, init = {}) {
    const answer = await this.fetch(this.url(path, params), init);
    if (!answer.ok) throw await refusal(answer);
    return documentOf(answer.status, await answer.text().catch(() => { throw ApiError.unreachable(); }));
  }

  /**
   * After 401, or 403 to a key: ask for another, unless another request has brought one meanwhile.
   *
   * @param {number} status @param {string | null} sent
   */
  async mayRetry(status, sent) {
    if (status !== 401 && !(status === 403 && sent)) return false;
    if (this.keys.key !== sent) return true;
    return this.keys.ask(sent ? "The service does not know this key. Enter another." : "This service answers only to those who hold a key.");
  }
}

/** Whether it will be otherwise within our patience; then that time has passed. @param {Response} answer */
async function soon(answer) {
  const seconds = Number(answer.headers.get("Retry-After"));
  if (answer.status !== 429 || !(seconds > 0 && seconds <= PATIENCE_S)) return false;
  await new Promise((done) => { setTimeout(done, 1000 * seconds); });
  return true;
}

/** The document that an answer is. @param {number} status @param {string} text @returns {any} @throws {ApiError} it is none of the service's */
export function documentOf(status, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(status, { title: "A foreign answer", ...problemOf(text) });
  }
}

/** @param {Response} answer @returns {Promise<ApiError>} */
export async function refusal(answer) {
  return new ApiError(answer.status, problemOf(await answer.text().catch(() => "")));
}

/** A problem document, or what can be said without one. @param {string} text @returns {Problem} */
export function problemOf(text) {
  try {
    const problem = JSON.parse(text);
    return typeof problem === "object" && problem !== null ? problem : {};
  } catch {
    return { detail: "Something between this page and the service answered in its place." };
  }
}
