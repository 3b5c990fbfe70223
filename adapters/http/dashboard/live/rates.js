// Records per second by outcome, from the counters of `GET /metrics`.

import { call } from "../base/api.js";
import { emit } from "../base/bus.js";
import { poll } from "../base/poll.js";

export const OUTCOMES = ["processed", "duplicate", "conflict", "rejected"];

/** How often the counters are read, in milliseconds. */
const EVERY_MS = 2_000;

/** How long the counters are left alone where they can't be read, in milliseconds. */
const WITHOUT_MS = 60_000;

/** How many readings are kept: five minutes of them. */
const KEPT = 150;

/** How long an instance counts that is not heard of, in milliseconds: behind a balancer each answers in its turn. */
const INSTANCE_MS = 15_000;

const COUNTER = "tallyhouse_records_total";

/** Reads the samples of one counter from text in Prometheus's format: `[{ labels, value }]`. */
export function samples(text, name) {
  const found = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}{`)) continue;
    const end = line.lastIndexOf("}");
    const labels = {};
    for (const [, label, value] of line.slice(name.length + 1, end).matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[label] = value;
    found.push({ labels, value: Number(line.slice(end + 1).trim().split(" ")[0]) });
  }
  return found;
}

/** Sums a counter up by outcome. */
export function byOutcome(found) {
  const totals = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0]));
  for (const { labels, value } of found) if (labels.outcome in totals) totals[labels.outcome] += value;
  return totals;
}

export class Rates {
  /** `{ at, processed, duplicate, conflict, rejected }`: milliseconds since the epoch, and records per second. */
  readings = [];
  /** What was counted since each instance started: by outcome, of all that have been heard of. Null where it is not known. */
  totals = null;
  /** `metrics`, or `feed` where the counters can't be read. */
  source = "metrics";
  #instances = new Map();
  #fed = 0;
  #askAgainAt = 0;

  /** Reads until aborted. Emits `rates` after each reading. */
  async follow(signal) {
    await poll(EVERY_MS, async () => {
      if (Date.now() >= this.#askAgainAt) await this.#ask(signal);
      // What the feed has brought meanwhile; it knows nothing of the other outcomes.
      if (this.source === "feed") this.#push({ at: Date.now(), ...byOutcome([]), processed: this.#fed / (EVERY_MS / 1000) });
      this.#fed = 0;
    }, signal);
  }

  async #ask(signal) {
    try {
      const response = await call("/metrics", { signal });
      this.add(instanceOf(response), byOutcome(samples(await response.text(), COUNTER)), Date.now());
    } catch (error) {
      if (error.status !== 403 && error.status !== 404) {
        this.#break();
        throw error;
      }
      this.source = "feed";
      this.#askAgainAt = Date.now() + WITHOUT_MS;
    }
  }

  /** Counts a notification, for when there is nothing better. */
  count() {
    this.#fed += 1;
  }

  /** Takes the counters of an instance. Those of different ones can't be compared, so that each is compared with itself. */
  add(instance, totals, at) {
    this.source = "metrics";
    const before = this.#instances.get(instance);
    const perSecond = { ...byOutcome([]) };
    if (before && at > before.at) {
      for (const outcome of OUTCOMES) perSecond[outcome] = Math.max(0, totals[outcome] - before.totals[outcome]) / ((at - before.at) / 1000);
    }
    this.#instances.set(instance, { totals, at, perSecond });
    const sum = { at, ...byOutcome([]) };
    this.totals = byOutcome([]);
    for (const [name, known] of this.#instances) {
      if (at - known.at > INSTANCE_MS) {
        this.#instances.delete(name);
        continue;
      }
      for (const outcome of OUTCOMES) {
        sum[outcome] += known.perSecond[outcome];
        this.totals[outcome] += known.totals[outcome];
      }
    }
    if (before) this.#push(sum);
    else emit("rates");
  }

  /** Where nothing is known, nothing is drawn. */
  #break() {
    const last = this.readings.at(-1);
    if (last && last.processed !== null) this.#push({ at: Date.now(), processed: null, duplicate: null, conflict: null, rejected: null });
  }

  #push(reading) {
    this.readings.push(reading);
    if (this.readings.length > KEPT) this.readings.shift();
    emit("rates");
  }
}

/** Which instance answered: its request ids begin with what no other process has. */
function instanceOf(response) {
  return (response.headers.get("x-request-id") ?? "").split("-")[0];
}
