/**
 * Live sound to the service and its news back, over one WebSocket after another: a line that breaks is
 * laid anew, and what comes over it goes on where the other stopped.
 *
 * Tells `message` (the service's, with `session`, the number of the line) and `state`.
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} SocketState
 * @typedef {{source: string, sample_rate: number, store: boolean}} Handshake
 */

import { mayPass } from "../core/api.js";

const PROTOCOL = "attloc";
// A browser cannot send headers with a WebSocket: the key goes as a subprotocol.
const KEY_PROTOCOL = "attloc.key.";
const HOP_S = 0.5;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
// What has not been sent for so long would be heard too late.
const MOST_BACKLOG_S = 10;
// After the end the service still settles what it heard last.
const SETTLE_MS = 5000;

export class Socket extends EventTarget {
  /** @type {WebSocket | null} */
  #line = null;
  #session = 0;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #ended = false;
  /** @type {SocketState} */
  state = "connecting";
  /** Why the last line ended, if the service said. */
  reason = "";
  /** Why there will be no other line. @type {unknown} */
  error = null;

  /** @param {import("../core/api.js").Api} api @param {Handshake} handshake */
  constructor(api, handshake) {
    super();
    this.api = api;
    this.handshake = handshake;
  }

  open() {
    const { source, sample_rate, store } = this.handshake;
    const url = this.api.url("stream", { source, sample_rate, format: "s16le", hop: HOP_S, store: String(store) });
    url.protocol = url.protocol.replace("http", "ws");
    const { key } = this.api.keys;
    const line = new WebSocket(url, key ? [PROTOCOL, KEY_PROTOCOL + key] : [PROTOCOL]);
    line.binaryType = "arraybuffer";
    line.onmessage = (event) => this.#take(event);
    line.onclose = (event) => { if (line === this.#line) this.#lost(event); };
    this.#line = line;
    this.#session += 1;
    this.#become("connecting");
  }

  /** @param {ArrayBuffer} pcm lost while there is no line */
  send(pcm) {
    if (this.state !== "open" || this.#line?.readyState !== WebSocket.OPEN || this.#ended) return;
    if (this.#line.bufferedAmount > MOST_BACKLOG_S * 2 * this.handshake.sample_rate) {
      this.reason = "The connection is too slow for live sound.";
      // Closing waits for what is still to be sent; nobody else has to.
      this.#line.close();
      this.#line = null;
      this.#again();
      return;
    }
    this.#line.send(pcm);
  }

  /** No more sound comes; the line stays until the service has said all. */
  end() {
    clearTimeout(this.#timer);
    this.#ended = true;
    if (this.state !== "open") {
      this.abandon();
      return;
    }
    this.#line?.send(JSON.stringify({ type: "end" }));
    this.#timer = window.setTimeout(() => this.abandon(), SETTLE_MS);
  }

  abandon() {
    clearTimeout(this.#timer);
    this.#ended = true;
    const line = this.#line;
    this.#line = null;
    line?.close();
    this.#become("closed");
  }

  /** @param {MessageEvent<string>} event */
  #take(event) {
    const message = JSON.parse(event.data);
    if (message.type === "ready") {
      this.#wait = FIRST_WAIT_MS;
      this.reason = "";
      this.#become("open");
    }
    if (message.type === "error") this.reason = message.problem?.detail ?? "";
    this.dispatchEvent(new CustomEvent("message", { detail: { ...message, session: this.#session } }));
  }

  /** @param {CloseEvent} event */
  async #lost(event) {
    if (this.#ended) {
      this.abandon();
      return;
    }
    if (event.code === 1006 && this.state === "connecting") {
      this.reason = "The service takes no live sound now.";
      await this.#ask();
    }
    if (!this.#ended) this.#again();
  }

  /** A line's refusal cannot be read. A request is told whether it was the key, and asks for another. */
  async #ask() {
    try {
      await this.api.get("model");
    } catch (error) {
      if (mayPass(error) || this.#ended) return;
      this.error = error;
      this.abandon();
    }
  }

  #again() {
    this.#become("waiting");
    this.#timer = window.setTimeout(() => this.open(), this.#wait * (0.5 + Math.random()));
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
  }

  /** @param {SocketState} state */
  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
