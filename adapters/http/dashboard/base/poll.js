// Polls: only while the page is visible, and less and less often while it fails.

import { Away, Refusal, quiet } from "./api.js";
import { on } from "./bus.js";

/** The longest wait between two tries, in milliseconds. */
const WAIT_MAX = 30_000;

/** Waits; sooner done when the service is back. Throws when aborted. */
export function sleep(ms, signal) {
  return new Promise((done, failed) => {
    const over = new AbortController();
    const end = (settle) => () => {
      over.abort();
      clearTimeout(timer);
      settle();
    };
    const timer = setTimeout(end(done), ms);
    on("back", end(done), over.signal);
    signal?.addEventListener("abort", end(() => failed(signal.reason)), { signal: over.signal });
    if (signal?.aborted) end(() => failed(signal.reason))();
  });
}

/** Waits until the page is to be seen. */
export function seen(signal) {
  if (document.visibilityState === "visible") return Promise.resolve();
  return new Promise((done, failed) => {
    const look = () => {
      if (document.visibilityState === "visible") end(done);
    };
    const cancel = () => end(() => failed(signal.reason));
    const end = (settle) => {
      document.removeEventListener("visibilitychange", look);
      signal?.removeEventListener("abort", cancel);
      settle();
    };
    document.addEventListener("visibilitychange", look);
    signal?.addEventListener("abort", cancel);
  });
}

/** Works every so many milliseconds until aborted. `work` may return how long to wait this time instead. */
export async function poll(ms, work, signal) {
  let wait = ms;
  while (!signal.aborted) {
    try {
      await seen(signal);
      await sleep(quiet(), signal);
      wait = (await work()) ?? ms;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refusal || error instanceof Away)) console.error(error);
      wait = Math.min(WAIT_MAX, Math.max(ms, wait * 2, (error.retryAfter ?? 0) * 1000));
    }
    await sleep(wait, signal).catch(() => {});
  }
}
