// A language that Intl refuses is replaced before uPlot is loaded, which makes a number format of it and fails otherwise. Chromium
// names the POSIX locale `en-US@posix`. uPlot is no module; hence neither is this.
try {
  Intl.getCanonicalLocales(navigator.language);
} catch {
  // The page is in English.
  Object.defineProperty(navigator, "language", { value: "en-US", configurable: true });
}
