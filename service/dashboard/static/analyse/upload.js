/** Sending a file, its progress told: `fetch` tells nothing of an upload, so this is an XMLHttpRequest. */

import { ApiError, documentOf, problemOf } from "../core/api.js";

/**
 * @typedef {{stage: "sending" | "analysing", part: number}} Progress `part` of the bytes sent, 0 to 1
 *
 * @param {import("../core/api.js").Api} api
 * @param {Blob} file
 * @param {Record<string, string | number | null>} params of `POST /tag`
 * @param {(progress: Progress) => void} tell
 * @param {AbortSignal} signal
 * @returns {Promise<any>} the document
 * @throws {ApiError} or the reason of the signal, which may have come before
 */
export async function send(api, file, params, tell, signal) {
  for (;;) {
    // While the length was read, or a key asked for; a signal that has come is not told again.
    signal.throwIfAborted();
    const sent = api.keys.key;
    const { status, text } = await attempt(api, file, params, tell, signal);
    if (status >= 200 && status < 300) return documentOf(status, text);
    if (!(await api.mayRetry(status, sent))) throw new ApiError(status, problemOf(text));
  }
}

/**
 * @param {import("../core/api.js").Api} api @param {Blob} file @param {Record<string, string | number | null>} params
 * @param {(progress: Progress) => void} tell @param {AbortSignal} signal
 * @returns {Promise<{status: number, text: string}>}
 */
function attempt(api, file, params, tell, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file);
    const request = new XMLHttpRequest();
    request.open("POST", api.url("tag", params));
    for (const [name, value] of Object.entries(api.keys.headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) tell({ stage: "sending", part: event.loaded / event.total });
    });
    request.upload.addEventListener("load", () => tell({ stage: "analysing", part: 1 }));
    request.addEventListener("load", () => resolve({ status: request.status, text: request.responseText }));
    request.addEventListener("error", () => reject(ApiError.unreachable()));
    request.addEventListener("abort", () => reject(signal.reason));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    tell({ stage: "sending", part: 0 });
    request.send(form);
  });
}

/**
 * How long a file is, as far as the browser can tell; it cannot read every format the service can.
 *
 * @param {Blob} file
 * @returns {Promise<number | null>} seconds
 */
export function lengthOf(file) {
  return new Promise((resolve) => {
    const audio = new Audio();
    const done = (/** @type {number | null} */ seconds) => {
      URL.revokeObjectURL(audio.src);
      resolve(seconds !== null && Number.isFinite(seconds) ? seconds : null);
    };
    audio.preload = "metadata";
    audio.addEventListener("loadedmetadata", () => done(audio.duration), { once: true });
    audio.addEventListener("error", () => done(null), { once: true });
    audio.src = URL.createObjectURL(file);
  });
}
