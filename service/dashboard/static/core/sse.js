/**
 * Server-sent events over `fetch`: the browser's EventSource cannot send a key.
 *
 * @typedef {{event: string, data: string, id: string}} Message
 */

/**
 * Messages out of text that arrives in pieces of any size.
 */
export class Parser {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];
  /** The last id seen: it stands until another comes. */
  lastId = "";
  /** Milliseconds the service asks us to wait before we come back, if it did. @type {number | null} */
  retry = null;

  /** @param {string} text @returns {Message[]} the messages it completes */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.map((line) => this.#line(line)).filter((message) => message !== null);
  }

  /** @param {string} line @returns {Message | null} */
  #line(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id") this.lastId = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
    return null;
  }

  /** @returns {Message | null} */
  #end() {
    const message = { event: this.#event || "message", data: this.#data.join("\n"), id: this.lastId };
    const empty = this.#data.length === 0;
    this.#event = "";
    this.#data = [];
    return empty ? null : message;
  }
}

// Of an answer that does not say how often a sign of life comes.
const HEARTBEAT_S = 15;
// So many missing ones, and the service hangs, or the network went away without a word.
const MISSED = 3;

/**
 * The messages of one answer, until it ends or breaks.
 *
 * @param {Response} answer
 * @param {Parser} parser
 * @throws {Error} nothing came for too long
 */
export async function* messages(answer, parser) {
  if (!answer.body) return;
  const patience = 1000 * MISSED * (Number(answer.headers.get("X-Heartbeat")) || HEARTBEAT_S);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await within(reader.read(), patience);
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * @template T
 * @param {Promise<T>} promise @param {number} ms
 * @returns {Promise<T>} what it comes to, if in time
 */
function within(promise, ms) {
  /** @type {number | undefined} */
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("Nothing came for too long.")), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
