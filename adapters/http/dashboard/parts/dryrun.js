// What an alert rule would have raised: a dry run's report.

import { h } from "../base/dom.js";
import { amount, counted, grouped, instant, reference } from "../base/format.js";
import { notice } from "./notice.js";
import { recordLink } from "../records/recorddialog.js";

/** Shows a report. Returns it, and the same in a few words. */
export function dryRun(report) {
  const { complete, recordCount, alertCount, firstTime, lastTime, destinationCount, destinations, alerts } = report;
  const said = `It would have raised ${alertCount === 0 ? "no alert" : counted(alertCount, "alert")} over ${counted(recordCount, "record")}.`;
  const element = h("section", { class: "dry-run", "aria-label": "Dry run" },
    h("p", { class: "verdict" }, "Would have raised ", h("strong", { class: alertCount > 0 ? "some" : null }, alertCount === 0 ? "no alert" : counted(alertCount, "alert")),
      ` over ${counted(recordCount, "record")}`, alertCount > 0 && [", from ", instant(firstTime, { whole: true }), " to ", instant(lastTime, { whole: true })], "."),
    !complete && partly(report),
    alertCount > 0 && h("div", { class: "dry-run-parts" },
      h("div", {}, h("h3", {}, destinationCount > destinations.length ? `Most of ${counted(destinationCount, "destination")}` : counted(destinationCount, "destination")), destinationTable(destinations)),
      h("div", {}, h("h3", {}, alertCount > alerts.length ? `The latest ${alerts.length}` : "All of them, the latest first"), alertTable(alerts))));
  return { element, said };
}

function partly({ backTo }) {
  return h("div", { class: "partly" }, notice("Only the newest records were checked",
    h("span", {}, "The time was up, or too many destinations had alerts. The numbers are for the records that were processed from ", instant(backTo, { whole: true }), " on.")));
}

function destinationTable(destinations) {
  const most = destinations[0]?.alertCount ?? 1;
  const row = ({ destinationId, alertCount }) => {
    const share = h("span", { class: "share", "aria-hidden": "true" });
    share.style.width = `${(100 * alertCount) / most}%`;
    return h("tr", {},
      h("th", { scope: "row" }, destinationId),
      h("td", { class: "number with-share" }, grouped(alertCount), share));
  };
  return h("table", {}, h("caption", { class: "hidden" }, "Destinations with most alerts"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Destination"), h("th", { scope: "col", class: "number" }, "Alerts"))),
    h("tbody", {}, destinations.map(row)));
}

function alertTable(alerts) {
  const heads = ["Time", "Record", "Destination", "Reference", "No.", "Value"];
  return h("div", { class: "scroll" }, h("table", { class: "stacks" },
    h("caption", { class: "hidden" }, "Alerts that it would have raised, the latest first"),
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col", class: ["No.", "Value"].includes(name) ? "number" : null }, name)))),
    h("tbody", {}, alerts.map(({ data: { record, sequence } }) => h("tr", {},
      h("td", { "data-label": "Time" }, instant(record.time, { whole: true })),
      h("th", { scope: "row", class: "name" }, recordLink(record.recordId)),
      h("td", { "data-label": "Destination" }, record.destinationId),
      h("td", { "data-label": "Reference" }, reference(record.reference)),
      h("td", { "data-label": "No.", class: "number" }, grouped(sequence)),
      h("td", { "data-label": "Value", class: "number" }, amount(record)))))));
}
