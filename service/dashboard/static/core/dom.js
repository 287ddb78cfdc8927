/**
 * Elements without markup: text goes in as text, so nothing a client or a server sent is ever parsed.
 *
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [attributes] `onx` functions become listeners; true is an empty
 *   attribute; false, null and undefined leave it out
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on") && typeof value === "function") {
      element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  put(element, ...children);
  return element;
}

/**
 * Replace what an element holds.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function put(element, ...children) {
  element.replaceChildren(
    ...children.flat().filter((child) => child !== null && child !== undefined && child !== false).map(
      (child) => (child instanceof Node ? child : document.createTextNode(String(child))),
    ),
  );
}

/**
 * A swatch of a label's colour; colour set through the CSSOM, which the policy allows.
 *
 * @param {string} colour
 */
export function swatch(colour) {
  const mark = h("span", { class: "swatch", "aria-hidden": "true" });
  mark.style.setProperty("--label", colour);
  return mark;
}

/** Calls `f` once nobody has asked for it for so long. @param {number} ms @param {() => void} f @returns {() => void} */
export function debounced(ms, f) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(f, ms);
  };
}
