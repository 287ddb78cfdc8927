/**
 * Runs on the audio thread: mono blocks of samples to the page, as signed 16-bit little-endian PCM.
 * A worklet has a scope of its own, which the usual types do not know.
 */

// At 48 kHz a message every 43 ms: seldom enough to cost nothing, often enough to be live.
const SAMPLES = 2048;

class Capture extends AudioWorkletProcessor {
  #block = new DataView(new ArrayBuffer(2 * SAMPLES));
  #filled = 0;
  #energy = 0;

  /** @param {Float32Array[][]} inputs one input, its channels @returns {boolean} go on */
  process([channels]) {
    const length = channels[0]?.length ?? 0;
    for (let at = 0; at < length; at += 1) {
      let sample = 0;
      for (const channel of channels) sample += channel[at] / channels.length;
      this.#push(sample);
    }
    return true;
  }

  /** @param {number} sample full scale is 1 */
  #push(sample) {
    const bounded = Math.min(Math.max(sample, -1), 1);
    this.#block.setInt16(2 * this.#filled, Math.round(bounded * 32767), true);
    this.#energy += bounded * bounded;
    this.#filled += 1;
    if (this.#filled < SAMPLES) return;
    const pcm = this.#block.buffer.slice(0);
    this.port.postMessage({ pcm, level: Math.sqrt(this.#energy / SAMPLES) }, [pcm]);
    this.#filled = 0;
    this.#energy = 0;
  }
}

registerProcessor("capture", Capture);
