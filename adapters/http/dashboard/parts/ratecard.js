// How many records come, by outcome: as numbers, and as a chart of the last five minutes.

import { on } from "../base/bus.js";
import { fill, h } from "../base/dom.js";
import { clock, grouped, rate } from "../base/format.js";
import { live } from "../live/live.js";
import { OUTCOMES } from "../live/rates.js";
import { RateChart } from "./chart.js";

const MEANINGS = {
  processed: "Seen for the first time, stored and summed up",
  duplicate: "Seen before with the same content: nothing changed",
  conflict: "Seen before with other content: refused",
  rejected: "Breaks a rule of a record: refused",
};

export function rateCard(signal) {
  const now = h("span", { class: "rate-now" }, "–");
  const when = h("span", { class: "quiet small" });
  const peak = h("p", { class: "rate-peak quiet small" });
  const cells = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, { rate: h("td", { class: "number" }, "–"), total: h("td", { class: "number total" }, "–") }]));
  const legend = h("table", { class: "legend" },
    h("caption", { class: "hidden" }, "Records by outcome"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "hidden" }, "Outcome")),
      ["now", "since the start"].map((name) => h("th", { scope: "col", class: "number" }, name)))),
    h("tbody", {}, OUTCOMES.map((outcome) => h("tr", { title: MEANINGS[outcome] },
      h("th", { scope: "row" }, h("span", { class: `swatch ${outcome}`, "aria-hidden": "true" }), outcome), cells[outcome].rate, cells[outcome].total))));
  const canvas = h("div", { class: "chart", "aria-hidden": "true" });

  let pointed = null;
  const draw = () => {
    const { readings, totals } = live.rates;
    const reading = pointed ?? readings.findLast(({ processed }) => processed !== null);
    const known = reading && reading.processed !== null;
    const sum = known ? OUTCOMES.reduce((all, outcome) => all + reading[outcome], 0) : null;
    fill(now, known ? rate(sum) : "–");
    fill(peak, "Peak of the last 5 minutes: ", h("strong", {}, highest(readings)));
    fill(when, pointed ? `at ${clock(pointed.at)}` : "right now");
    for (const outcome of OUTCOMES) {
      fill(cells[outcome].rate, known ? `${rate(reading[outcome])}/s` : "–");
      fill(cells[outcome].total, totals ? grouped(totals[outcome]) : "–");
    }
  };
  const card = h("section", { class: "card rate-card" },
    h("div", { class: "rate-head" },
      h("div", { class: "rate-figure" }, h("h2", {}, "Records per second"), h("p", {}, now, " ", when), peak),
      legend),
    canvas);
  // The chart measures itself, so that it is drawn once it is on the page.
  requestAnimationFrame(() => {
    if (signal.aborted) return;
    const chart = new RateChart(canvas, (reading) => { pointed = reading; draw(); }, signal);
    const both = () => { chart.draw(live.rates.readings); draw(); };
    on("rates", both, signal);
    on("started", both, signal);
    both();
  });
  return card;
}

/** The highest sum of all outcomes. */
function highest(readings) {
  const sums = readings.filter(({ processed }) => processed !== null).map((reading) => OUTCOMES.reduce((all, outcome) => all + reading[outcome], 0));
  return sums.length === 0 ? "–" : rate(Math.max(...sums));
}
