/** The sound itself, where it was analysed on this page: it never left it but for the analysis. */

import { h } from "../core/dom.js";

/**
 * @param {Blob | null} sound
 * @param {import("./chart.js").RecordingChart} chart its cursor follows what is heard
 */
export function player(sound, chart) {
  if (!sound) return null;
  const audio = h("audio", { controls: true, preload: "metadata", "aria-label": "Play the recording" });
  audio.src = URL.createObjectURL(sound);
  const follow = () => {
    if (!audio.isConnected) {
      audio.pause();
      URL.revokeObjectURL(audio.src);
      return;
    }
    chart.moveCursor(audio.currentTime);
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", follow);
  audio.addEventListener("seeking", follow);
  // A click on the figure plays on from there.
  chart.plot.addEventListener("click", (event) => {
    const at = chart.at(event.clientX);
    if (at !== null && !audio.paused) audio.currentTime = at;
  });
  return h("div", { class: "player" }, audio);
}
