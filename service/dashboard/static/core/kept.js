/** What the browser keeps for the page; where it keeps nothing, the page does, until it is closed. */

/** @param {"localStorage" | "sessionStorage"} name @returns {Pick<Storage, "getItem" | "setItem" | "removeItem">} */
function open(name) {
  try {
    return window[name];
  } catch {
    // A browser that is told to block what sites keep throws at the mere name.
    const kept = new Map();
    return { getItem: (slot) => kept.get(slot) ?? null, setItem: (slot, text) => { kept.set(slot, text); }, removeItem: (slot) => { kept.delete(slot); } };
  }
}

export const local = open("localStorage");
export const session = open("sessionStorage");
