/** The microphone as blocks of PCM. */

/**
 * @typedef {{pcm: ArrayBuffer, level: number}} Block signed 16-bit little-endian mono; root mean square, full scale 1
 */

// Firefox goes on waiting, without a word, where it finds no sound output.
const PATIENCE_MS = 10000;

/** What kept us from hearing, in plain words. */
export class CaptureError extends Error {
  title = "No microphone";
}

export class Capture {
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {MediaStream | null} */
  #stream = null;

  /**
   * @param {(block: Block) => void} take
   * @param {(error: CaptureError) => void} lost told when the device is taken away
   * @returns {Promise<number>} the sample rate, Hz
   * @throws {CaptureError}
   */
  async start(take, lost) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new CaptureError("Browsers lend the microphone to secure pages only: open this page over HTTPS, or on the machine itself as localhost.");
    }
    try {
      // What makes telephony pleasant would hide from the model what it listens for.
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    } catch (error) {
      throw new CaptureError(REFUSALS[error instanceof DOMException ? error.name : ""] ?? "The microphone cannot be used.");
    }
    for (const track of this.#stream.getTracks()) track.onended = () => lost(new CaptureError("The microphone was taken away: unplugged, or no longer allowed to this page."));
    const context = new AudioContext();
    this.#context = context;
    await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url).href);
    const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
    node.port.onmessage = (/** @type {MessageEvent<Block>} */ { data }) => take(data);
    context.createMediaStreamSource(this.#stream).connect(node);
    await Promise.race([context.resume(), mute(PATIENCE_MS)]);
    return context.sampleRate;
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
    this.#stream = null;
    this.#context = null;
  }
}

/** @param {number} ms @returns {Promise<never>} */
function mute(ms) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new CaptureError("The browser's sound does not start. Firefox needs a sound output for it: connect one, or use another browser.")), ms);
  });
}

/** @type {Record<string, string>} */
const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the microphone. Allow it for this page and try again.",
  NotFoundError: "There is no microphone.",
  NotReadableError: "The microphone is in use by another program.",
};
