// Light or dark: as the system has it, or as it was chosen here. Runs before the first paint, so that nothing flashes; hence
// it is no module.
(() => {
  const NAME = "tallyhouse.theme";
  const root = document.documentElement;
  const kept = () => {
    try {
      return localStorage.getItem(NAME);
    } catch {
      // A browser that keeps nothing follows the system.
      return null;
    }
  };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(kept());

  const next = { auto: "light", light: "dark", dark: "auto" };
  globalThis.theme = {
    /** `auto`, `light` or `dark`. */
    chosen: () => root.dataset.theme ?? "auto",
    /** Goes on to the next one, and tells the charts, which draw by themselves. */
    turn() {
      const chosen = next[this.chosen()];
      apply(chosen);
      try {
        localStorage.setItem(NAME, chosen);
      } catch {
        // It holds until the page is left.
      }
      globalThis.dispatchEvent(new Event("theme"));
    },
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => globalThis.dispatchEvent(new Event("theme")));
})();
