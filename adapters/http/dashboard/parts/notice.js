// What is shown in the place of what could not be: why, and what to do.

import { Refusal } from "../base/api.js";
import { emit } from "../base/bus.js";
import { h } from "../base/dom.js";

/** Shows why something is not there. */
export function notice(title, text, ...actions) {
  return h("div", { class: "notice" }, h("strong", {}, title), h("p", {}, text), actions.length > 0 && h("div", { class: "actions" }, actions));
}

/** Shows what the service said, or that it said nothing. `again` is called by a button. */
export function failure(error, again) {
  const retry = h("button", { type: "button", class: "button", onclick: again }, "Try again");
  if (!(error instanceof Refusal)) return notice("The service does not answer", "It will be shown here when it is back.", retry);
  const ask = h("button", { type: "button", class: "button primary", onclick: () => emit("ask-key") }, error.status === 401 ? "Give a key" : "Use another key");
  switch (error.status) {
    case 401:
      return notice("This needs a key", "The service has API keys. Give one with the scope read, and admin for dead letters and rules.", ask);
    case 403:
      return notice("This key lacks the scope", error.message, ask);
    case 429:
      return notice("Too many calls", `${error.message} It may be asked again in ${error.retryAfter} s.`, retry);
    default:
      return h("div", {}, notice(error.title, error.message, retry),
        error.status >= 500 && h("p", { class: "quiet small" }, `Request ${error.requestId}`));
  }
}

/** Stands where something is on its way. */
export function loading(lines = 4) {
  const bars = Array.from({ length: lines }, () => h("div", { class: "skeleton" }));
  return h("div", { class: "loading", "aria-busy": "true" }, h("span", { class: "hidden" }, "Loading"), bars);
}
