// All that is known of one record: its fields, what came before it, and the rules that it met.

import { address, current, go } from "../base/address.js";
import { read } from "../base/api.js";
import { fill, h, icon, say } from "../base/dom.js";
import { amount, counted, grouped, instant, reference } from "../base/format.js";
import { openDialog } from "../parts/dialog.js";
import { failure, loading, notice } from "../parts/notice.js";
import { totalsTable } from "./totals.js";

let open = null;

/** A link that shows a record over whatever view is there. */
export function recordLink(id, ...content) {
  return h("a", { href: address({ ...current(), record: id }), class: "record-link" }, content.length > 0 ? content : id);
}

/** Opens or closes the dialog, as the address says. */
export function showRecord(id) {
  if (open?.id === id) return;
  if (open !== null) {
    const { dialog } = open;
    open = null;
    dialog.close();
  }
  if (id === null) return;
  const over = new AbortController();
  const closed = () => {
    over.abort();
    if (open?.id !== id) return;
    open = null;
    go(address({ ...current(), record: null }));
  };
  const { dialog, body } = openDialog("Record", loading(8), { closed, wide: true });
  open = { id, dialog };
  load(id, body, over.signal);
}

async function load(id, body, signal) {
  try {
    const record = await read(`/v1/records/${encodeURIComponent(id)}`, { signal });
    fill(body, details(record));
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === 404) return void fill(body, notice("Not found", h("span", {}, error.message, " ", h("code", {}, id))));
    fill(body, failure(error, () => {
      fill(body, loading(8));
      load(id, body, signal);
    }));
  }
}

function details(record) {
  const { destinationId, previous, alerts } = record;
  const all = address({ view: "records", filters: { destinationId, reference: record.reference } });
  return [
    h("p", { class: "record-amount" }, amount(record)),
    h("dl", { class: "fields" },
      field("Record", h("code", {}, record.recordId)),
      field("Time", instant(record.time)),
      field("Destination", destinationId),
      field("Source", record.sourceId),
      field("Type", record.type),
      field("Value", h("code", {}, record.value)),
      field("Unit", record.unit),
      field("Reference", reference(record.reference)),
      field("Sequence", `${grouped(record.sequence)} of its destination and reference`),
      field("Processed", instant(record.processedAt))),
    h("h3", {}, "Alerts"),
    alerts.length === 0
      ? h("p", { class: "quiet" }, "It met no rule.")
      : h("p", { class: "chips" }, alerts.map((name) => h("span", { class: "chip alert" }, name))),
    h("h3", {}, "Before it"),
    previous.count > 0 && h("p", {}, counted(previous.count, "record"), " from ", instant(previous.firstTime), " to ", instant(previous.lastTime)),
    totalsTable(previous, "Totals of the records before this one"),
    h("div", { class: "actions" },
      h("a", { class: "button", href: all }, "All of this destination and reference"),
      copyButton("Copy as JSON", () => JSON.stringify(record, null, 2))),
  ];
}

function field(name, value) {
  return [h("dt", {}, name), h("dd", {}, value)];
}

/** A button that copies a text. */
export function copyButton(label, text) {
  const button = h("button", { type: "button", class: "button" }, icon("copy"), label);
  button.addEventListener("click", async () => {
    // Browsers have a clipboard only for pages that come by HTTPS or from this machine.
    const copied = await (navigator.clipboard?.writeText(text()) ?? Promise.reject(new Error("no clipboard"))).then(() => true, () => false);
    const word = copied ? "Copied" : "Can't copy here";
    fill(button, icon("copy"), word);
    say(word);
    setTimeout(() => fill(button, icon("copy"), label), 1_500);
  });
  return button;
}
