// Stored records, one a row.

import { address, current } from "../base/address.js";
import { h } from "../base/dom.js";
import { amount, grouped, instant, reference } from "../base/format.js";
import { recordLink } from "./recorddialog.js";

const HEADS = ["Time", "Record", "Source", "Destination", "Reference", "No.", "Value"];

/** Makes the table. With `rules` it has a column with the rules that each record met, by which to filter. */
export function recordTable(records, { rules = false } = {}) {
  const heads = rules ? [...HEADS, "Rules"] : HEADS;
  return h("div", { class: "scroll" }, h("table", { class: "record-table stacks" },
    h("caption", { class: "hidden" }, "Records, newest first"),
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col", class: ["No.", "Value"].includes(name) ? "number" : null }, name)))),
    h("tbody", {}, records.map((record) => row(record, rules)))));
}

function row(record, rules) {
  const { recordId, time, sourceId, destinationId, sequence, alerts } = record;
  return h("tr", {},
    h("td", { "data-label": "Time", class: "time" }, instant(time)),
    h("th", { scope: "row", class: "name" }, recordLink(recordId)),
    h("td", { "data-label": "Source" }, sourceId),
    h("td", { "data-label": "Destination" }, destinationId),
    h("td", { "data-label": "Reference" }, reference(record.reference)),
    h("td", { "data-label": "No.", class: "number" }, grouped(sequence)),
    h("td", { "data-label": "Value", class: "number" }, !rules && alerts.length > 0 && alertMark(alerts), amount(record)),
    rules && h("td", { "data-label": "Rules" }, h("span", { class: "chips" }, alerts.map(ruleLink))));
}

function ruleLink(rule) {
  const { filters } = current();
  return h("a", { class: "chip alert", href: address({ view: "alerts", filters: { ...filters, rule } }) }, rule);
}

function alertMark(alerts) {
  const names = `Met ${alerts.length > 1 ? "rules" : "the rule"} ${alerts.join(", ")}`;
  return [h("span", { class: "chip alert", title: names }, alerts.length > 1 ? `${alerts.length} alerts` : "alert"), " "];
}
