/** Plotly, loaded when the first chart is drawn, and what all charts share. */

/**
 * @typedef {import("./theme.js").Tones} Tones
 * @typedef {any} Plotly the package brings no types
 */

/** @type {Promise<Plotly> | null} */
let loaded = null;

export const CONFIG = { displayModeBar: false, responsive: false, doubleClick: false, showTips: false };

/** @returns {Promise<Plotly>} */
export function plotly() {
  loaded ??= load();
  return loaded;
}

/** @returns {Promise<Plotly>} */
function load() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../plotly.min.js", import.meta.url).href;
    const restore = withoutInlineSheets();
    script.addEventListener("load", () => {
      restore();
      resolve(/** @type {any} */ (window).Plotly);
    });
    script.addEventListener("error", () => {
      restore();
      script.remove();
      loaded = null;
      reject(new Error("The chart library did not load; is the plotly package installed beside the service?"));
    });
    document.head.append(script);
  });
}

/**
 * While it loads, Plotly appends a sheet for its maps, which this page does not draw, as an inline
 * `<style>`; the policy forbids those, and the browser would say so in the console.
 */
function withoutInlineSheets() {
  const { head } = document;
  const own = /** @type {any} */ (head);
  own.appendChild = (/** @type {Node} */ node) => (node instanceof HTMLStyleElement ? node : Node.prototype.appendChild.call(head, node));
  return () => { delete own.appendChild; };
}

/** A name as text: Plotly reads a little markup in what it draws. @param {string} text */
export const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @param {Tones} tones */
export function layout(tones) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: tones.sans, size: 12, color: tones.muted },
    showlegend: false,
    autosize: false,
    dragmode: "pan",
    hoverlabel: {
      bgcolor: tones.surface, bordercolor: tones.line, align: "left", namelength: -1,
      font: { family: tones.sans, size: 12, color: tones.ink },
    },
  };
}

/** @param {Tones} tones @returns {Record<string, unknown>} */
export function axis(tones) {
  return {
    color: tones.muted, gridcolor: tones.faint, linecolor: tones.line, zeroline: false, automargin: false,
    tickcolor: tones.line, ticklen: 4, title: { text: "" },
  };
}
