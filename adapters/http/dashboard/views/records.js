// Filters, the records that match them, newest first, and their totals.

import { address, current, query } from "../base/address.js";
import { page } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { counted, grouped, instant, reference } from "../base/format.js";
import { destinationTable, sorted } from "../records/destinations.js";
import { csvButton } from "../parts/download.js";
import { filterForm } from "../records/filterform.js";
import { showRecordList } from "../records/recordlist.js";
import { entitle, load, more, section } from "../parts/section.js";
import { UNIT_HEADS, unitCells } from "../records/totals.js";

/** How many groups are asked for at a time. */
const GROUPS = 100;

export function records(signal) {
  const form = filterForm("records", signal);
  const sections = { records: section("Records"), totals: section("Totals"), references: section("By reference") };
  const element = h("div", { class: "records" }, h("h1", {}, "Records"), form.element, Object.values(sections).map(({ card }) => card));
  let shown = null;
  let over = new AbortController();
  signal.addEventListener("abort", () => over.abort());
  const show = (always = false) => {
    const { filters } = current();
    const key = query(filters);
    // The details of a record open over the same lists.
    if (!always && key === shown) return;
    shown = key;
    over.abort();
    over = new AbortController();
    form.show(filters);
    fill(sections.records.beside, csvButton("records", `/v1/export?${query(filters)}`));
    fill(sections.totals.beside, csvButton("totals", `/v1/aggregates?${query(filters, { records: false })}`));
    showTotals(sections.totals, filters, over.signal);
    showReferences(sections.references, filters, over.signal);
    showRecordList(sections.records, filters, { none: "No records match these filters." }, over.signal);
  };
  show();
  return { element, show, refresh: () => show(true) };
}

function showTotals(section, filters, signal) {
  let order = { by: "destination", rises: true };
  let groups = [];
  let next = `/v1/aggregates?${query(filters, { records: false, limit: GROUPS })}`;
  const draw = () => {
    const sum = groups.reduce((all, { count }) => all + count, 0);
    entitle(section, `${counted(groups.length, "destination")}, ${counted(sum, "record")}${next ? ", and more" : ""}`);
    if (groups.length === 0) return void fill(section.body, h("p", { class: "quiet" }, "No records match these filters."));
    const table = destinationTable(sorted(groups, order), { order, filters, sort: (chosen) => { order = chosen; draw(); } });
    fill(section.body, table, next && more("More destinations", groups.length, step));
  };
  const step = async () => {
    const answer = await page(next, { signal });
    groups = [...groups, ...answer.body.groups];
    next = answer.next;
    draw();
  };
  return load(section, signal, step);
}

/** The running summaries of a destination. They are of all its records, so they are shown where nothing else is filtered. */
function showReferences(section, filters, signal) {
  const { destinationId, ...others } = filters;
  section.card.hidden = destinationId === undefined || Object.keys(others).length > 0;
  if (section.card.hidden) return undefined;
  let summaries = [];
  let next = `/v1/summaries/${encodeURIComponent(destinationId)}?limit=${GROUPS}`;
  const draw = () => {
    entitle(section, `${counted(summaries.length, "reference")}${next ? ", and more" : ""}`);
    section.card.hidden = summaries.length === 0;
    fill(section.body, referenceTable(destinationId, summaries), next && more("More references", summaries.length, step));
  };
  const step = async () => {
    const answer = await page(next, { signal });
    summaries = [...summaries, ...answer.body.summaries];
    next = answer.next;
    draw();
  };
  return load(section, signal, step);
}

function referenceTable(destinationId, summaries) {
  const head = ["Reference", "Records", ...UNIT_HEADS, "Latest"];
  const numbers = ["Records", "Positive", "Negative", "Net"];
  const rows = (summary) => {
    const span = summary.totals.length > 1 ? summary.totals.length : null;
    const link = h("a", { href: address({ view: "records", filters: { destinationId, reference: summary.reference } }) }, reference(summary.reference));
    return summary.totals.map((unit, at) => h("tr", { class: at > 0 ? "more" : null },
      at === 0 && [h("th", { scope: "row", rowspan: span, class: "name" }, link),
        h("td", { class: "number", rowspan: span, "data-label": "Records" }, grouped(summary.sequence))],
      unitCells(unit),
      at === 0 && h("td", { rowspan: span, "data-label": "Latest" }, instant(summary.lastTime))));
  };
  return h("div", { class: "scroll" }, h("table", { class: "stacks" },
    h("caption", { class: "hidden" }, `Running summaries of ${destinationId} by reference`),
    h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col", class: numbers.includes(name) ? "number" : null }, name)))),
    h("tbody", {}, summaries.map(rows))));
}
