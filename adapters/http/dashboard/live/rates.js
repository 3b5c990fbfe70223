// Records per second by outcome, from the counts that each instance keeps of the last minutes: `GET /v1/rates`.

import { read } from "../base/api.js";
import { emit } from "../base/bus.js";
import { poll } from "../base/poll.js";

export const OUTCOMES = ["processed", "duplicate", "conflict", "rejected"];

/** What the service calls the counts of each outcome. */
const COLUMNS = { processed: "processed", duplicate: "duplicates", conflict: "conflicts", rejected: "rejected" };

/** How often the counts are read, in milliseconds. */
const EVERY_MS = 2_000;

/** How many intervals are shown. */
const SHOWN = 150;

/** How long an instance counts that is not heard of, in milliseconds: behind a balancer each answers in its turn. */
const INSTANCE_MS = 15_000;

const NOTHING = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, null]));

export class Rates {
  /** `{ at, processed, duplicate, conflict, rejected }`: milliseconds since the epoch, and records per second; null where they are not known. */
  readings = [];
  /** What was counted since each instance started: by outcome, of all that have been heard of. Null where it is not known. */
  totals = null;
  /** The instances that have been heard of lately: `{ version, uptime }`, in seconds. */
  instances = [];
  /** All that are shown, by when they started, which is an instance's own to the microsecond. */
  #known = new Map();

  /** Reads until aborted. Emits `rates` after each reading. */
  async follow(signal) {
    await poll(EVERY_MS, async () => this.add(await read("/v1/rates", { signal }), Date.now()), signal);
  }

  /** Takes the answer of an instance. */
  add(answer, at) {
    const stepMs = answer.intervalSeconds * 1000;
    const last = Math.round(Date.parse(answer.end) / stepMs);
    this.#known.set(answer.startedAt, { ...answer, at, stepMs, last, first: last - answer.counts.processed.length + 1 });
    const newest = Math.max(...[...this.#known.values()].map((instance) => instance.last));
    for (const [name, instance] of this.#known) if (newest - instance.last >= SHOWN) this.#known.delete(name);
    const heard = [...this.#known.values()].filter((instance) => at - instance.at <= INSTANCE_MS);
    this.totals = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, sum(heard.map(({ totals }) => totals[COLUMNS[outcome]]))]));
    this.instances = heard.map(({ version, startedAt, end }) => ({ version, uptime: (Date.parse(end) - Date.parse(startedAt)) / 1000 }));
    this.readings = Array.from({ length: SHOWN }, (_, place) => this.#reading(newest - SHOWN + 1 + place, stepMs, at));
    emit("rates");
  }

  /** Adds up what the instances counted in an interval. */
  #reading(interval, stepMs, now) {
    const counts = [...this.#known.values()].map((instance) => countsOf(instance, interval, now)).filter((found) => found !== null);
    const rates = counts.length === 0 ? NOTHING
      : Object.fromEntries(OUTCOMES.map((outcome) => [outcome, sum(counts.map((count) => count[outcome])) / (stepMs / 1000)]));
    return { at: interval * stepMs, ...rates };
  }
}

/** What an instance counted in an interval, or null. One that was heard of lately is taken to go on as it did. */
function countsOf({ first, last, at, counts }, interval, now) {
  if (last < first || interval < first || (interval > last && now - at > INSTANCE_MS)) return null;
  const place = Math.min(interval, last) - first;
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, counts[COLUMNS[outcome]][place]]));
}

function sum(numbers) {
  return numbers.reduce((all, number) => all + number, 0);
}
