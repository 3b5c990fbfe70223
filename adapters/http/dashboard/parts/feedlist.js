// A feed on the page: the latest messages, newest first, drawn a few times a second at most.

import { address } from "../base/address.js";
import { fill, h, icon } from "../base/dom.js";
import { on } from "../base/bus.js";
import { amount, clock, grouped, instant, reference } from "../base/format.js";
import { live } from "../live/live.js";
import { recordLink } from "../records/recorddialog.js";

/** How often it is drawn anew at most, in milliseconds. */
const DRAWN_MS = 250;

/** Most messages that are shown. Of records few, since keyboard users go through their links on the way to the totals. */
const SHOWN = { notifications: 15, alerts: 60 };

const STATES = {
  connecting: "Connecting",
  live: "Live",
  paused: "Paused",
  away: "Reconnecting",
  forbidden: "Not allowed",
};

const EMPTY = {
  notifications: "Each record that is processed appears here at once.",
  alerts: "A record whose value is above the threshold of a rule appears here at once.",
};

/** What is shown of the time before, where there is too much of it. */
const BEFORE = {
  notifications: "of those before, the newest by their times",
  alerts: "those before are among all alerts",
};

/** Makes the card of a topic, with a link to more. It rests while somebody says so. */
export function feedCard(topic, title, signal, link = null) {
  const list = h("ol", { class: `feed ${topic}`, tabindex: "0", "aria-label": `${title}, newest first` });
  const state = h("span", { class: "feed-state" });
  const hold = h("button", { type: "button", class: "icon-button", "aria-pressed": "false" });
  const note = h("p", { class: "quiet small feed-note" });
  const shown = new Map();
  let held = false;
  let timer = null;

  const draw = () => {
    timer = null;
    const feed = live[topic];
    fill(state, h("span", { class: `dot ${held ? "paused" : feed.state}` }), held ? "Paused" : STATES[feed.state]);
    if (held) return;
    note.textContent = feed.since === null ? "" : `All since ${clock(feed.since)}; ${BEFORE[topic]}.`;
    const entries = feed.entries.slice(0, SHOWN[topic]);
    if (entries.length === 0) {
      fill(list, h("li", { class: "quiet empty-feed" }, EMPTY[topic]));
      shown.clear();
      return;
    }
    fill(list, entries.map((entry) => itemOf(entry, shown)));
    for (const entry of shown.keys()) if (!entries.includes(entry)) shown.delete(entry);
  };
  const soon = () => {
    timer ??= setTimeout(draw, DRAWN_MS);
  };
  const turn = () => {
    held = hold.getAttribute("aria-pressed") === "false";
    hold.setAttribute("aria-pressed", String(held));
    fill(hold, icon(held ? "play" : "pause"), h("span", { class: "hidden" }, `Pause ${title.toLowerCase()}`));
    draw();
  };
  hold.addEventListener("click", turn);
  fill(hold, icon("pause"), h("span", { class: "hidden" }, `Pause ${title.toLowerCase()}`));
  on(topic, soon, signal);
  on("started", soon, signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
  draw();
  return h("section", { class: `card feed-card ${topic}` },
    h("div", { class: "card-head" }, h("h2", {}, title), state, hold, link), list, note);
}

/** What is shown already stays the same element, so that the focus and the pointer stay where they are. */
function itemOf(entry, shown) {
  let item = shown.get(entry);
  if (item === undefined) {
    item = entry.gap ? h("li", { class: "gap" }, "Too many to show: some were left out here.")
      : entry.data.rule ? alert(entry) : notification(entry);
    shown.set(entry, item);
  }
  return item;
}

function notification({ time, data: { record, sequence } }) {
  return h("li", {},
    h("span", { class: "feed-main" }, amount(record), " ", destination(record), " ", h("span", { class: "quiet" }, "ref. ", reference(record.reference), ` · no. ${grouped(sequence)}`)),
    h("span", { class: "feed-side" }, recordLink(record.recordId), " ", instant(time, { short: true })));
}

function alert({ time, data: { record, rule } }) {
  const above = h("span", { class: "quiet" }, `above ${grouped(rule.threshold)}`, rule.unit ? ` ${rule.unit}` : "", " by ");
  return h("li", {},
    h("span", { class: "feed-main" }, amount(record), " ", destination(record)),
    h("span", { class: "feed-main" }, above, h("span", { class: "chip alert" }, rule.name)),
    h("span", { class: "feed-side" }, recordLink(record.recordId), " ", instant(time, { short: true })));
}

function destination({ destinationId }) {
  return h("a", { href: address({ view: "records", filters: { destinationId } }), class: "destination" }, destinationId);
}
