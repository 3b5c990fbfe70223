// The first view: how fast records come, how the service is, the destinations, and what happens right now.

import { address } from "../base/address.js";
import { key, read } from "../base/api.js";
import { on } from "../base/bus.js";
import { fill, h } from "../base/dom.js";
import { clock, counted } from "../base/format.js";
import { poll, sleep } from "../base/poll.js";
import { live } from "../live/live.js";
import { destinationTable, sorted } from "../records/destinations.js";
import { feedCard } from "../parts/feedlist.js";
import { healthCard } from "../parts/healthcard.js";
import { failure, loading } from "../parts/notice.js";
import { rateCard } from "../parts/ratecard.js";
import { firstRecord } from "../parts/firstrecord.js";

/** Most destinations that are asked for; with more, the table is of the first by name. */
const ASKED = 200;

/** How many rows of the table are shown. */
const SHOWN = 12;

/** How soon totals are read again where records have come since, in milliseconds. */
const REFRESH_MS = 2_000;

/** Where the totals take long they are read less often: after so many times as long, but once a minute. */
const SHARE = 10;
const REFRESH_MS_MAX = 60_000;

/** An empty service is looked at sooner, so that its first record is there at once. */
const EMPTY_MS = 300;

export function overview(signal) {
  const totals = h("div", { class: "totals-body" }, loading(6));
  const asOf = h("span", { class: "quiet small as-of" });
  const heading = h("h2", {}, "Destinations");
  const element = h("div", { class: "overview" },
    h("h1", { class: "hidden" }, "Overview"),
    h("div", { class: "column wide" },
      rateCard(signal),
      feedCard("notifications", "Latest records", signal, h("a", { class: "button small", href: address({ view: "records" }) }, "All records")),
      h("section", { class: "card", id: "totals" }, h("div", { class: "card-head" }, heading, asOf,
        h("a", { class: "button small", href: address({ view: "records" }) }, "Filter and drill down")), totals)),
    h("div", { class: "column" }, feedCard("alerts", "Alerts", signal, h("a", { class: "button small", href: address({ view: "alerts" }) }, "All alerts")), healthCard(signal)));
  followTotals({ totals, asOf, heading, element }, signal);
  return { element };
}

/** Keeps the totals up to date: read again only when something has come since, and never all the time. */
function followTotals({ totals, asOf, heading, element }, signal) {
  let order = { by: "records", rises: false };
  let answer = null;
  const changed = changes(signal);

  const draw = () => {
    const { groups, groupCount, recordCount } = answer;
    element.classList.toggle("is-empty", groupCount === 0);
    if (groupCount === 0) return void fill(totals, firstRecord(key() !== null));
    const all = groupCount < ASKED;
    fill(heading, "Destinations ", h("span", { class: "count" }, all ? `${counted(groupCount, "destination")}, ${counted(recordCount, "record")}` : `the first ${ASKED} by name`));
    const focused = totals.contains(document.activeElement) ? document.activeElement : null;
    const table = destinationTable(sorted(groups, order).slice(0, SHOWN), { order, brief: true, sort: (next) => { order = next; draw(); } });
    fill(totals, table, groupCount > SHOWN && h("p", { class: "more-link" }, h("a", { href: address({ view: "records" }) }, all ? `All ${groupCount} destinations` : "More destinations")));
    refocus(focused, totals);
  };
  const work = async () => {
    if (answer !== null) await changed();
    const began = performance.now();
    answer = await read(`/v1/aggregates?records=false&limit=${ASKED}`, { signal });
    const took = performance.now() - began;
    fill(asOf, `as of ${clock(Date.now())}`);
    draw();
    return answer.groupCount === 0 ? EMPTY_MS : Math.min(REFRESH_MS_MAX, Math.max(REFRESH_MS, took * SHARE));
  };
  const run = () => poll(REFRESH_MS, async () => {
    try {
      return await work();
    } catch (error) {
      if (!signal.aborted && (answer === null || error.status === 401 || error.status === 403)) fill(totals, failure(error, run));
      // Without a good key there is no use in asking again; another key makes this view anew.
      if (error.status === 401 || error.status === 403) await sleep(2 ** 31 - 1, signal);
      throw error;
    }
  }, signal);
  run();
}

/** Gives a function that waits until records may have come since it was last called. */
function changes(signal) {
  let changed = false;
  let wake = () => {};
  const note = () => {
    changed = true;
    wake();
  };
  let processed = 0;
  on("notifications", ({ message }) => message && note(), signal);
  on("rates", () => {
    const now = live.rates.totals?.processed ?? 0;
    if (now !== processed) note();
    processed = now;
  }, signal);
  on("back", note, signal);
  on("history-changed", note, signal);
  return async () => {
    if (!changed) await new Promise((done) => { wake = done; });
    changed = false;
  };
}

/** A table that is drawn anew while the focus is in it keeps the focus. */
function refocus(before, within) {
  if (before === null) return;
  const same = before.dataset.sort !== undefined ? `[data-sort="${before.dataset.sort}"]` : `a[href="${CSS.escape(before.getAttribute("href") ?? "")}"]`;
  within.querySelector(same)?.focus();
}
