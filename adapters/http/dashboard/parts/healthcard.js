// How the service and what it depends on are.

import { on } from "../base/bus.js";
import { fill, h } from "../base/dom.js";
import { clock } from "../base/format.js";
import { live } from "../live/live.js";

/** What each state of the whole is called, and what it means. */
export const STATUS = {
  unknown: ["Looking", "Waiting for the first answer."],
  ready: ["Ready", "All that it depends on answers."],
  degraded: ["Degraded", "It works on without what is away, and catches up when that is back."],
  unready: ["Not ready", "It can't take records now. Whoever sends repeats later."],
  away: ["No answer", "What is shown is what was known before."],
};

const DEPENDENCIES = { storage: "Storage", redis: "Redis" };
const BREAKERS = { storage: "Storage", publishing: "Publishing", "queue-list": "Queue, list", "queue-stream": "Queue, stream" };
const MEANINGS = {
  closed: "Calls go through",
  open: "Calls are held back after failures; one is tried soon",
  "half-open": "One call is being tried",
};

export function healthCard(signal) {
  const head = h("p", { class: "health-status" });
  const body = h("div", { class: "health-body" });
  const draw = () => {
    const { status, detail, dependencies, breakers, heardAt } = live.health;
    const [name, meaning] = STATUS[status];
    fill(head, h("span", { class: `dot ${status}` }), h("strong", {}, name), h("span", { class: "quiet" }, detail ?? meaning));
    const stale = status === "away";
    body.classList.toggle("stale", stale);
    fill(body,
      list("Dependencies", Object.entries(dependencies).map(([key, state]) => row(DEPENDENCIES[key] ?? key, state, state === "up" ? "good" : "bad"))),
      list("Circuit breakers", Object.entries(breakers).map(([key, state]) => row(BREAKERS[key] ?? key, state, state === "closed" ? "good" : state === "open" ? "bad" : "warn", MEANINGS[state]))),
      stale && heardAt !== null && h("p", { class: "quiet small" }, `As it was at ${clock(heardAt)}.`));
  };
  on("health", draw, signal);
  draw();
  return h("section", { class: "card health-card" }, h("div", { class: "card-head" }, h("h2", {}, "Health")), head, body);
}

function list(title, rows) {
  return rows.length > 0 && [h("h3", {}, title), h("dl", { class: "states" }, rows)];
}

function row(name, state, kind, meaning = null) {
  return h("div", { title: meaning }, h("dt", {}, name), h("dd", {}, h("span", { class: `state ${kind}` }, state)));
}
