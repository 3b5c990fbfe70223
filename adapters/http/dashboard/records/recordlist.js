// A list of records, newest first, in a section: the first page, and more on request.

import { query } from "../base/address.js";
import { page } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { grouped } from "../base/format.js";
import { recordTable } from "./recordtable.js";
import { entitle, load, more } from "../parts/section.js";

/** How many are asked for at first and then, and after how many the filters must be narrower: a page with more is of no use. */
const FIRST = 25;
const NEXT = 100;
const KEPT = 1_000;

/** Shows the records that pass filters. With `alerting` only those that met a rule, with their rules; `none` is said where there are none. */
export function showRecordList(section, filters, { alerting = false, none }, signal) {
  let found = [];
  const parameters = { order: "newest", ...(alerting && { alerting: true }) };
  let next = `/v1/records?${query(filters, { ...parameters, limit: FIRST })}`;
  const draw = () => {
    if (found.length === 0) {
      entitle(section, "");
      return void fill(section.body, h("p", { class: "quiet" }, none));
    }
    entitle(section, `${next ? "the newest " : ""}${grouped(found.length)}${next ? "" : ", newest first"}`);
    fill(section.body, recordTable(found, { rules: alerting }), next && (found.length >= KEPT
      ? h("p", { class: "quiet more-link" }, "There are more: narrow the filters.")
      : more("More records", found.length, step)));
  };
  const step = async () => {
    const answer = await page(next, { signal });
    found = [...found, ...answer.body.records];
    next = answer.next?.replace(`limit=${FIRST}`, `limit=${NEXT}`) ?? null;
    draw();
  };
  return load(section, signal, step);
}
