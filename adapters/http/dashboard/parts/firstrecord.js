// What an empty service shows: how to send a first record.

import { root } from "../base/api.js";
import { h } from "../base/dom.js";
import { copyButton } from "../records/recorddialog.js";

/** A command that can be pasted into a shell as it is. */
export function curlLine(withKey) {
  const record = {
    recordId: "payment-1", time: new Date().toISOString().replace(/\.\d+/, ""), sourceId: "till-3", destinationId: "shop-9",
    type: "positive", value: "12500.00", unit: "EUR", reference: "invoice-7",
  };
  const [key, line] = [withKey ? ["-H \"Authorization: Bearer $TALLYHOUSE_KEY\""] : [], JSON.stringify(record)];
  const body = line.replace(',"destinationId"', ',\n    "destinationId"').replace(',"unit"', ',\n    "unit"');
  return [`curl ${root()}/v1/records`, "-H 'Content-Type: application/json'", ...key, `-d '${body}'`].join(" \\\n  ");
}

export function firstRecord(withKey) {
  const line = curlLine(withKey);
  return h("div", { class: "first" },
    h("h2", {}, "No records yet"),
    h("p", {}, "Send a first one from a terminal; it appears here at once. ",
      withKey && "The key in TALLYHOUSE_KEY needs the scope ingest. ", "Its value is above 10,000, the usual threshold, so that an alert comes with it."),
    h("pre", { class: "command", tabindex: "0", "aria-label": "Command" }, h("code", {}, line)),
    h("div", { class: "actions" }, copyButton("Copy", () => line), h("a", { class: "button", href: "docs" }, "API reference")));
}
