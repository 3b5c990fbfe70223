// All that goes on while the page is open, once for the whole page.

import { emit, on } from "../base/bus.js";
import { DeadLetterCount } from "./deadletters.js";
import { Feed } from "./feed.js";
import { Health } from "./health.js";
import { Rates } from "./rates.js";

export const live = { health: new Health(), ...fresh() };

/** All that a key is needed for. */
function fresh() {
  return { rates: new Rates(), notifications: new Feed("notifications"), alerts: new Feed("alerts"), deadLetters: new DeadLetterCount() };
}

let running = null;

/** Starts what needs no key, once. */
export function watchHealth() {
  live.health.follow(new AbortController().signal).catch(report);
}

/** Starts the rest; or, with another key, starts it anew. Without a good key it ends, since each call would be refused. */
export function start() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  Object.assign(live, fresh());
  on("unauthorized", () => running.abort(), signal);
  for (const part of [live.rates, live.notifications, live.alerts, live.deadLetters]) part.follow(signal).catch(report);
  emit("started");
  emit("dead-letter-count");
}

/** Ends it, for a page that is left: a browser may keep it to come back to, with connections that the next page lacks. */
export function stop() {
  running?.abort();
}

function report(error) {
  if (error.name !== "AbortError") console.error(error);
}
