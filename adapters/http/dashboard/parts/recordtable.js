// Stored records, one a row.

import { h } from "../base/dom.js";
import { amount, grouped, instant, reference } from "../base/format.js";
import { recordLink } from "./recorddialog.js";

const HEADS = ["Time", "Record", "Source", "Destination", "Reference", "No.", "Value"];

export function recordTable(records) {
  return h("div", { class: "scroll" }, h("table", { class: "record-table stacks" },
    h("caption", { class: "hidden" }, "Records, by time"),
    h("thead", {}, h("tr", {}, HEADS.map((name) => h("th", { scope: "col", class: ["No.", "Value"].includes(name) ? "number" : null }, name)))),
    h("tbody", {}, records.map(row))));
}

function row(record) {
  const { recordId, time, sourceId, destinationId, sequence, alerts } = record;
  return h("tr", {},
    h("td", { "data-label": "Time", class: "time" }, instant(time)),
    h("th", { scope: "row", class: "name" }, recordLink(recordId)),
    h("td", { "data-label": "Source" }, sourceId),
    h("td", { "data-label": "Destination" }, destinationId),
    h("td", { "data-label": "Reference" }, reference(record.reference)),
    h("td", { "data-label": "No.", class: "number" }, grouped(sequence)),
    h("td", { "data-label": "Value", class: "number" }, alerts.length > 0 && alertMark(alerts), amount(record)));
}

function alertMark(alerts) {
  const names = `Met ${alerts.length > 1 ? "rules" : "the rule"} ${alerts.join(", ")}`;
  return [h("span", { class: "chip alert", title: names }, alerts.length > 1 ? `${alerts.length} alerts` : "alert"), " "];
}
