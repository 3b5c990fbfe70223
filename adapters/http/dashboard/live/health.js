// Whether the service answers, and how its dependencies are: by `GET /readyz`, which is open to all and never limited.

import { Away, call } from "../base/api.js";
import { emit, on } from "../base/bus.js";
import { poll } from "../base/poll.js";

const EVERY_MS = 4_000;

export class Health {
  /** `unknown`, `ready`, `degraded`, `unready`, `away`. */
  status = "unknown";
  /** Why it is unready. */
  detail = null;
  dependencies = {};
  breakers = {};
  /** When it was last heard of, in milliseconds since the epoch. */
  heardAt = null;

  /** Looks until aborted. Emits `health` after each look, and `back` when an answer comes after there was none. */
  async follow(signal) {
    // Another call that gets no answer is news as well.
    on("away", () => this.#become({ status: "away" }), signal);
    await poll(EVERY_MS, async () => {
      try {
        const response = await call("/readyz", { signal });
        this.#become(await response.json());
      } catch (error) {
        if (error instanceof Away || !error.problem) throw error;
        const { dependencies, breakers } = error.problem;
        this.#become({ status: "unready", detail: error.message, dependencies, breakers });
        return Math.max(EVERY_MS / 2, error.retryAfter * 1000);
      }
      return undefined;
    }, signal);
  }

  #become({ status, detail = null, dependencies = this.dependencies, breakers = this.breakers }) {
    const cameBack = ["away", "unready"].includes(this.status) && ["ready", "degraded"].includes(status);
    Object.assign(this, { status, detail, dependencies, breakers });
    if (status !== "away") this.heardAt = Date.now();
    emit("health");
    if (cameBack) emit("back");
  }
}
