/**
 * The address: `#/view/id?name=value`. All that reload and the back button should bring back is in it.
 *
 * @typedef {{view: string, id: string, params: URLSearchParams}} Route
 */

/** @param {string} [hash] @returns {Route} */
export function parse(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", id = ""] = path.split("/");
  return { view, id: decode(id), params: new URLSearchParams(query) };
}

/**
 * @param {string} view
 * @param {string} [id]
 * @param {Record<string, string | number | null | undefined>} [params] null and undefined are left out
 */
export function href(view, id = "", params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${view}${id && `/${encodeURIComponent(id)}`}${text && `?${text}`}`;
}

/**
 * Change the address without a step in the history and without mounting the view anew.
 *
 * @param {string} hash
 */
export function amend(hash) {
  if (hash !== location.hash) history.replaceState(history.state, "", hash);
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}
