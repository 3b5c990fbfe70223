// What the page shows is in its address, so that it can be shared, and the browser's back and forward work.

import { emit } from "./bus.js";

/** The filters, named as in the API. */
export const FILTERS = ["start", "end", "type", "destinationId", "sourceId", "reference", "unit"];

/** The filters of alerts: those of their records, and the rule. */
export const ALERT_FILTERS = ["rule", ...FILTERS];

const VIEWS = ["overview", "records", "alerts", "dead-letters", "rules"];

/** The filters that a view knows. */
export function filtersOf(view) {
  return view === "alerts" ? ALERT_FILTERS : FILTERS;
}

/** Reads the address: the view, its filters, and the record whose details are open, or null. */
export function current() {
  const parameters = new URLSearchParams(location.search);
  const view = VIEWS.includes(parameters.get("view")) ? parameters.get("view") : "overview";
  const filters = {};
  // An empty reference is one that can be asked for.
  for (const name of filtersOf(view)) if (parameters.has(name)) filters[name] = parameters.get(name);
  return { view, filters, record: parameters.get("record") };
}

/** Writes an address. */
export function address({ view = "overview", filters = {}, record = null }) {
  const parameters = new URLSearchParams();
  if (view !== "overview") parameters.set("view", view);
  for (const name of ALERT_FILTERS) if (filters[name] !== undefined) parameters.set(name, filters[name]);
  if (record !== null) parameters.set("record", record);
  const query = parameters.toString();
  // Relative, so that the page works under any path of a proxy.
  return query === "" ? "./" : `./?${query}`;
}

/** The query of a call with these filters, and further parameters. */
export function query(filters, more = {}) {
  const parameters = new URLSearchParams();
  for (const name of ALERT_FILTERS) if (filters[name] !== undefined) parameters.set(name, filters[name]);
  for (const [name, value] of Object.entries(more)) parameters.set(name, value);
  return parameters.toString();
}

/** Goes to another address of the page. */
export function go(target) {
  history.pushState(null, "", target);
  emit("address");
}

/** Lets links within the page change what is shown without loading it again. */
export function watchAddress() {
  addEventListener("popstate", () => emit("address"));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.origin !== location.origin || link.pathname !== location.pathname || link.hash !== "") return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
