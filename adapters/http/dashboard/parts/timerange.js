// Ranges of time without typing: the last hours or days by a button, a day by the browser's calendar.

import { h, icon } from "../base/dom.js";

const RANGES = [["Last hour", 3_600], ["24 hours", 86_400], ["7 days", 7 * 86_400], ["30 days", 30 * 86_400]];

/** Buttons for the last hours and days. `pick(start)` is told when the range begins. */
export function quickRanges(pick) {
  const since = (seconds) => new Date(Date.now() - seconds * 1000).toISOString().replace(/\.\d+/, "");
  return h("div", { class: "ranges", role: "group", "aria-label": "Quick ranges" }, RANGES.map(([name, seconds]) =>
    h("button", { type: "button", class: "button small", onclick: () => pick(since(seconds)) }, name)));
}

/** A text field for an instant with a calendar beside it. `picked` is told when a day was chosen. */
export function withCalendar(input, label, picked) {
  const day = h("input", { type: "date", class: "day", tabindex: "-1", "aria-hidden": "true", min: "0001-01-01", max: "9999-12-31" });
  const button = h("button", { type: "button", class: "icon-button", "aria-label": `Calendar: ${label}` }, icon("day"));
  button.addEventListener("click", () => {
    day.value = input.value.slice(0, 10);
    day.showPicker();
  });
  day.addEventListener("change", () => {
    if (day.value === "") return;
    input.value = `${day.value}T00:00:00Z`;
    picked();
  });
  return h("div", { class: "with-calendar" }, input, day, button);
}
