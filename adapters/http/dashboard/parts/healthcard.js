// How the service and what it depends on are.

import { on } from "../base/bus.js";
import { fill, h } from "../base/dom.js";
import { clock, counted, duration } from "../base/format.js";
import { live } from "../live/live.js";

/** What each state of the whole is called, and what it means. */
export const STATUS = {
  unknown: ["Checking", "Waiting for the first answer."],
  ready: ["Ready", "All that it depends on answers."],
  degraded: ["Degraded", "It goes on without what is down, and catches up later."],
  unready: ["Not ready", "It can't take records now. Senders repeat theirs later."],
  away: ["No answer", "This is the last known state."],
};

const DEPENDENCIES = { storage: "Storage", redis: "Redis" };
const BREAKERS = { storage: "Storage", publishing: "Publishing", "queue-list": "Queue, list", "queue-stream": "Queue, stream" };
/** The states of a breaker as people call them, with what they mean. */
const STATES = {
  closed: { word: "ok", kind: "good", meaning: "Calls go through" },
  open: { word: "paused", kind: "bad", meaning: "Calls are held back after failures; one is tried soon. The breaker is open." },
  "half-open": { word: "retrying", kind: "warn", meaning: "One call is being tried. The breaker is half open." },
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
      list("Circuit breakers", Object.entries(breakers).map(([key, state]) => breaker(BREAKERS[key] ?? key, STATES[state]))),
      program(live.rates.instances),
      stale && heardAt !== null && h("p", { class: "quiet small" }, `As it was at ${clock(heardAt)}.`));
  };
  on("health", draw, signal);
  on("rates", draw, signal);
  draw();
  return h("section", { class: "card health-card" }, h("div", { class: "card-head" }, h("h2", {}, "Health")), head, body);
}

function list(title, rows) {
  return rows.length > 0 && [h("h3", {}, title), h("dl", { class: "states" }, rows)];
}

function breaker(name, { word, kind, meaning }) {
  return row(name, word, kind, meaning);
}

/** The version that runs, and for how long. Of several instances, the one that started last. */
function program(instances) {
  if (instances.length === 0) return null;
  const versions = [...new Set(instances.map(({ version }) => version))].sort().join(", ");
  const uptime = duration(Math.min(...instances.map((instance) => instance.uptime)));
  return h("p", { class: "program quiet small" }, instances.length > 1 && `${counted(instances.length, "instance")} · `, `Version ${versions} · up ${uptime}`);
}

function row(name, state, kind, meaning = null) {
  return h("div", { title: meaning }, h("dt", {}, name), h("dd", {}, h("span", { class: `state ${kind}` }, state)));
}
