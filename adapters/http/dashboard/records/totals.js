// Totals of a summary, one row per unit, exactly as the service writes them.

import { grouped } from "../base/format.js";
import { h } from "../base/dom.js";

/** The heads of the columns that `unitCells` fills. */
export const UNIT_HEADS = ["Unit", "Positive", "Negative", "Net"];

/** The cells of one unit's totals. */
export function unitCells({ unit, positive, negative, net }) {
  return [
    h("td", { class: "unit", "data-label": "Unit" }, unit),
    side("Positive", positive, "positive"),
    side("Negative", negative, "negative"),
    h("td", { class: `number net ${net.startsWith("-") ? "negative" : ""}`, "data-label": "Net" }, grouped(net)),
  ];
}

function side(label, { count, sum }, kind) {
  const title = `${grouped(count)} ${kind} record${count === 1 ? "" : "s"}`;
  return h("td", { class: `number ${count === 0 ? "none" : ""}`, "data-label": label, title }, grouped(sum));
}

/** A table of a summary's totals. */
export function totalsTable(summary, caption) {
  if (summary.totals.length === 0) return h("p", { class: "quiet" }, "No records before this one.");
  const head = UNIT_HEADS.map((name, at) => h("th", { scope: "col", class: at > 0 ? "number" : null }, name));
  return h("div", { class: "scroll" }, h("table", { class: "compact" },
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, summary.totals.map((totals) => h("tr", {}, unitCells(totals))))));
}
