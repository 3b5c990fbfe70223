// The records that met alert rules, newest first, by the filters of records and by rule.

import { current, query } from "../base/address.js";
import { on } from "../base/bus.js";
import { fill, h } from "../base/dom.js";
import { counted } from "../base/format.js";
import { filterForm } from "../records/filterform.js";
import { showRecordList } from "../records/recordlist.js";
import { section } from "../parts/section.js";

export function alerts(signal) {
  const form = filterForm("alerts", signal);
  const news = h("div", { class: "news", role: "status" });
  const list = section("Alerts", h("button", { type: "button", class: "button small", onclick: () => show(true) }, "Refresh"));
  const element = h("div", { class: "records" },
    h("h1", {}, "Alerts"),
    h("p", { class: "lead" }, "Records that met an alert rule when they were processed."),
    form.element, news, list.card);
  let shown = null;
  let over = new AbortController();
  signal.addEventListener("abort", () => over.abort());
  let unseen = 0;
  const drawNews = () => fill(news, unseen > 0 && h("button", { type: "button", class: "button", onclick: () => show(true) }, `Show ${counted(unseen, "new alert")}`));
  const show = (always = false) => {
    const { filters } = current();
    const key = query(filters);
    if (!always && key === shown) return;
    shown = key;
    unseen = 0;
    drawNews();
    over.abort();
    over = new AbortController();
    form.show(filters);
    showRecordList(list, filters, { alerting: true, none: "No alerts match these filters." }, over.signal);
  };
  // A list that moves under the pointer can't be read: what is new is shown on request.
  on("alerts", ({ message, old }) => {
    if (!message || old) return;
    unseen += 1;
    drawNews();
  }, signal);
  show();
  return { element, show, refresh: () => show(true) };
}
