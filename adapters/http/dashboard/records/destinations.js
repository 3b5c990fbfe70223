// The table of destinations, with exact totals per unit.

import { address } from "../base/address.js";
import { h } from "../base/dom.js";
import { compareDecimals, grouped, instant } from "../base/format.js";
import { UNIT_HEADS, unitCells } from "./totals.js";

/** Columns by which groups are sorted. What is compared is exact. */
const ORDERS = {
  destination: { label: "Destination", compare: (a, b) => (a.destinationId < b.destinationId ? -1 : 1), rises: true },
  records: { label: "Records", compare: (a, b) => a.count - b.count },
  net: { label: "Net", compare: (a, b) => compareDecimals(a.totals[0].net, b.totals[0].net) },
};

/** Sorts groups: `{ by, rises }`. */
export function sorted(groups, { by, rises }) {
  const { compare } = ORDERS[by];
  return groups.toSorted((a, b) => (rises ? compare(a, b) : compare(b, a)));
}

/** Makes the table. `sort(order)` is called by the heads of its columns; `filters` are those of the links. On a phone a `brief` one
 * leaves out what is less needed; else each row becomes a block. */
export function destinationTable(groups, { order, sort, filters = {}, brief = false }) {
  const most = groups.reduce((max, { count }) => Math.max(max, count), 1);
  const head = (by, kind) => h("th", { scope: "col", class: kind, "aria-sort": order.by === by ? (order.rises ? "ascending" : "descending") : null },
    h("button", { type: "button", class: "sort", "data-sort": by, onclick: () => sort(turned(order, by)) }, ORDERS[by].label));
  const plain = (name, kind) => h("th", { scope: "col", class: kind }, name);
  return h("div", { class: "scroll" }, h("table", { class: `destinations ${brief ? "brief" : "stacks"}` },
    h("caption", { class: "hidden" }, "Destinations with their totals"),
    h("thead", {}, h("tr", {}, head("destination"), head("records", "number"), plain(UNIT_HEADS[0]),
      plain(UNIT_HEADS[1], "number"), plain(UNIT_HEADS[2], "number"), head("net", "number"), plain("Latest"))),
    h("tbody", {}, groups.map((group) => rows(group, most, filters)))));
}

function turned(order, by) {
  return order.by === by ? { by, rises: !order.rises } : { by, rises: ORDERS[by].rises ?? false };
}

function rows({ destinationId, count, lastTime, totals }, most, filters) {
  const link = h("a", { href: address({ view: "records", filters: { ...filters, destinationId } }) }, destinationId);
  const share = h("span", { class: "share", "aria-hidden": "true" });
  share.style.setProperty("--of-most", count / most);
  const span = totals.length > 1 ? totals.length : null;
  const first = [
    h("th", { scope: "row", rowspan: span, class: "name" }, link),
    h("td", { class: "number with-share", rowspan: span, "data-label": "Records" }, grouped(count), share),
  ];
  const last = h("td", { rowspan: span, "data-label": "Latest" }, instant(lastTime));
  return totals.map((unit, at) => h("tr", { class: at > 0 ? "more" : null }, at === 0 && first, unitCells(unit), at === 0 && last));
}
