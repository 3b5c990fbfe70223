// How many dead letters there are, from the gauge at `GET /metrics`: no call returns their number alone.

import { call } from "../base/api.js";
import { emit, on } from "../base/bus.js";
import { poll } from "../base/poll.js";

/** How often they are counted, in milliseconds. */
const EVERY_MS = 15_000;

/** How soon after a change, in milliseconds: many letters may be worked off at once. */
const SOON_MS = 250;

const GAUGE = /^tallyhouse_dead_letters (\d+)$/m;

export class DeadLetterCount {
  /** Null where it is not known. */
  count = null;

  /** Counts until aborted, and whenever one is replayed or deleted here. Emits `dead-letter-count` where it has changed. */
  async follow(signal) {
    const look = async () => this.#become(GAUGE.exec(await (await call("/metrics", { signal })).text()));
    let timer = null;
    on("dead-letters", () => {
      clearTimeout(timer);
      timer = setTimeout(() => look().catch(() => this.#become(null)), SOON_MS);
    }, signal);
    await poll(EVERY_MS, look, signal);
  }

  #become(found) {
    const count = found === null ? null : Number(found[1]);
    if (count === this.count) return;
    this.count = count;
    emit("dead-letter-count");
  }
}
