// The messages of a topic as they come. What is kept is bounded, and a feed that is too fast for eyes is sampled.

import { Away, call, read } from "../base/api.js";
import { emit } from "../base/bus.js";
import { poll, sleep } from "../base/poll.js";
import { readEvents } from "./sse.js";

/** Most messages that are kept. */
const KEPT = 200;

/** Most pages that are read at first, to show what was before, and messages on each. */
const PAGES = 3;
const PAGE = 200;

/** Records that are shown where there are more messages than that. */
const NEWEST = 50;

/** Messages within a second that are taken; if there are more, the feed pauses and goes on from then. Nobody reads faster. */
const FLOOD = 400;
const PAUSE_MS = 1_500;

/** How long a hidden page keeps its stream: browsers allow six connections to a host, for all tabs together. */
const HIDDEN_MS = 3_000;

/** How soon a stream that ended well is asked for again, in milliseconds. */
const AGAIN_MS = 300;

export class Feed {
  /** The latest messages, newest first; `{ gap: true }` where some were left out. */
  entries = [];
  /** `connecting`, `live`, `paused`, `away`, `forbidden`. */
  state = "connecting";
  /** Since when it has looked, where it does not know what was before; else null. */
  since = null;
  #last = null;
  #window = { second: 0, taken: 0 };

  /** `topic` is `notifications` or `alerts`. */
  constructor(topic) {
    this.topic = topic;
  }

  /** Follows until aborted. Emits the name of the topic whenever something has changed, with the message if one came; `old` is one of before. */
  async follow(signal) {
    await poll(AGAIN_MS, async () => {
      try {
        if (this.#last === null && this.since === null) await this.#catchUp(signal);
        return await this.#stream(signal);
      } catch (error) {
        if (error.status === 410) {
          this.#startOver();
          return 0;
        }
        this.#become(error.status === 401 || error.status === 403 ? "forbidden" : "away");
        throw error;
      }
    }, signal);
  }

  /** Shows what was before. There is no way to ask for the last messages alone: where there are many, records are shown by their times. */
  async #catchUp(signal) {
    let after = "";
    for (let page = 0; page < PAGES; page += 1) {
      const { messages, next } = await read(`/v1/${this.topic}?limit=${PAGE}${after}`, { signal });
      messages.forEach((message) => this.#take(message, { old: true }));
      after = `&after=${encodeURIComponent(next)}`;
      if (messages.length < PAGE) {
        this.#last = next;
        return;
      }
    }
    this.entries = this.topic === "notifications" ? await newestRecords(signal) : [];
    this.since = Date.now();
    emit(this.topic, {});
  }

  async #stream(signal) {
    const over = new AbortController();
    const abort = () => over.abort();
    signal.addEventListener("abort", abort);
    const unwatch = whenHidden(HIDDEN_MS, abort);
    try {
      const headers = this.#last === null ? {} : { "Last-Event-ID": this.#last };
      const response = await call(`/v1/${this.topic}/stream`, { headers, signal: over.signal });
      this.#become("live");
      await readEvents(response, (id, data) => {
        this.#last = id;
        this.#take(JSON.parse(data));
        if (this.#floods()) {
          this.#skip();
          abort();
        }
      });
    } catch (error) {
      if (signal.aborted) throw error;
      if (!over.signal.aborted) {
        // A connection that breaks is no fault of this page.
        if (error instanceof TypeError) throw new Away();
        throw error;
      }
      // We left: out of sight, or to skip. Whether it is seen again is for the poll to wait for.
      this.#become("paused");
      return this.#last === null ? PAUSE_MS : 0;
    } finally {
      unwatch();
      signal.removeEventListener("abort", abort);
    }
    return AGAIN_MS;
  }

  #take(message, { old = false } = {}) {
    this.entries.unshift(message);
    if (this.entries.length > KEPT) this.entries.length = KEPT;
    emit(this.topic, { message, old });
  }

  #floods() {
    const second = Math.floor(Date.now() / 1000);
    if (this.#window.second !== second) this.#window = { second, taken: 0 };
    this.#window.taken += 1;
    return this.#window.taken > FLOOD;
  }

  /** Forgets where it was: the stream goes on from when it is asked for again. */
  #skip() {
    this.#last = null;
    this.since ??= Date.now();
    this.#window.taken = 0;
    if (!this.entries[0]?.gap) this.entries.unshift({ gap: true });
    emit(this.topic, {});
  }

  /** The database has gone back to an earlier state: what was shown before may be gone, and it is read again from the start. */
  #startOver() {
    this.entries = [];
    this.#last = null;
    this.since = null;
    this.#window.taken = 0;
    emit(this.topic, {});
    emit("history-changed");
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    emit(this.topic, {});
  }
}

/** The newest records by time, as messages, the last processed first. */
async function newestRecords(signal) {
  const { records } = await read(`/v1/records?order=newest&limit=${NEWEST}`, { signal });
  const messages = records.map(({ sequence, processedAt, ...record }) => ({ time: processedAt, data: { record, sequence } }));
  return messages.sort((a, b) => (a.time < b.time ? 1 : -1));
}

/** Calls back once the page has been out of sight for so long. Returns how to stop watching. */
function whenHidden(ms, callback) {
  const over = new AbortController();
  const watch = async () => {
    if (document.visibilityState === "visible") return;
    await sleep(ms, over.signal).catch(() => {});
    if (!over.signal.aborted && document.visibilityState !== "visible") callback();
  };
  document.addEventListener("visibilitychange", watch, { signal: over.signal });
  watch();
  return () => over.abort();
}
