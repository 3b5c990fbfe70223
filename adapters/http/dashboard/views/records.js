// Filters, the totals of what they let through, and the records themselves.

import { address, current, query } from "../base/address.js";
import { page } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { counted, grouped, instant, reference } from "../base/format.js";
import { destinationTable, sorted } from "../parts/destinations.js";
import { filterForm } from "../parts/filterform.js";
import { failure, loading } from "../parts/notice.js";
import { recordTable } from "../parts/recordtable.js";
import { UNIT_HEADS, unitCells } from "../parts/totals.js";

/** How many are asked for at a time, and after how many the filters must be narrower: a page with more is of no use. */
const GROUPS = 100;
const RECORDS = 50;
const KEPT = 1_000;

export function records(signal) {
  const form = filterForm();
  const sections = { totals: section("Totals"), references: section("By reference"), records: section("Records") };
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
    showTotals(sections.totals, filters, over.signal);
    showReferences(sections.references, filters, over.signal);
    showRecords(sections.records, filters, over.signal);
  };
  show();
  return { element, show, refresh: () => show(true) };
}

function section(title) {
  const [heading, body] = [h("h2", {}, title), h("div", {})];
  return { title, heading, body, card: h("section", { class: "card" }, h("div", { class: "card-head" }, heading), body) };
}

/** Loads what a section shows, once and whenever it is asked to again. */
async function load({ body }, signal, work) {
  fill(body, loading());
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return;
    fill(body, failure(error, () => load({ body }, signal, work)));
  }
}

function entitle({ title, heading }, text) {
  fill(heading, title, " ", h("span", { class: "count" }, text));
}

function showTotals(section, filters, signal) {
  let order = { by: "destination", rises: true };
  let groups = [];
  let next = `/v1/aggregates?${query(filters, { records: false, limit: GROUPS })}`;
  const draw = () => {
    const sum = groups.reduce((all, { count }) => all + count, 0);
    entitle(section, `${counted(groups.length, "destination")}, ${counted(sum, "record")}${next ? ", and more" : ""}`);
    if (groups.length === 0) return void fill(section.body, h("p", { class: "quiet" }, "No record passes these filters."));
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

function showRecords(section, filters, signal) {
  let found = [];
  let next = `/v1/records?${query(filters, { limit: RECORDS })}`;
  const draw = () => {
    entitle(section, found.length === 0 ? "none" : `${next ? "the first " : ""}${grouped(found.length)} by time`);
    section.card.hidden = found.length === 0;
    const full = found.length >= KEPT;
    fill(section.body, recordTable(found), next && (full
      ? h("p", { class: "quiet more-link" }, "There are more: let the filters be narrower.")
      : more("More records", found.length, step)));
  };
  const step = async () => {
    const answer = await page(next, { signal });
    found = [...found, ...answer.body.records];
    next = answer.next;
    draw();
  };
  return load(section, signal, step);
}

/** A button that loads the next page below what is there. */
function more(label, after, step) {
  const place = h("div", { class: "more-link" });
  const button = h("button", { type: "button", class: "button", "data-after": after }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await step();
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(place, failure(error, () => fill(place, button)));
      button.disabled = false;
    }
  });
  return fill(place, button);
}
