// A classic script, run before the first paint: a chosen theme must not flash in after the other one.
(() => {
  try {
    const chosen = localStorage.getItem("attloc.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // The browser keeps nothing for this page: none was chosen.
  }
})();
