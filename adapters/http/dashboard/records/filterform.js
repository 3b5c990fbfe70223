// The filters, exactly those of the API. They are in the address; this form writes it.

import { address, filtersOf, go } from "../base/address.js";
import { fill, h, icon } from "../base/dom.js";
import { quickRanges, withCalendar } from "../parts/timerange.js";

const LABELS = {
  start: "From", end: "Before", type: "Type", destinationId: "Destination", sourceId: "Source", reference: "Reference", unit: "Unit", rule: "Rule",
};

/** Below this width the filters are closed until somebody opens them: open, they fill the screen of a phone. */
const NARROW = matchMedia("(max-width: 720px)");

/** Makes the form of a view. `show(filters)` puts an address's filters into it. */
export function filterForm(view, signal) {
  const names = filtersOf(view);
  const input = (name, attributes = {}) => h("input", { id: `filter-${name}`, name, autocomplete: "off", spellcheck: "false", ...attributes });
  const instant = { placeholder: "2013-01-31" };
  const inputs = {
    start: input("start", instant),
    end: input("end", instant),
    type: h("select", { id: "filter-type", name: "type" }, ["", "positive", "negative"].map((type) => h("option", { value: type }, type === "" ? "any" : type))),
    destinationId: input("destinationId"),
    sourceId: input("sourceId"),
    reference: input("reference"),
    unit: input("unit"),
    rule: input("rule"),
  };
  const empty = h("input", { type: "checkbox", id: "filter-empty" });
  const chips = h("p", { class: "chips", id: "active-filters" });
  const fields = names.map((name) => h("div", { class: `field of-${name}` },
    h("label", { for: `filter-${name}` }, LABELS[name]),
    ["start", "end"].includes(name) ? withCalendar(inputs[name], LABELS[name], () => apply()) : inputs[name],
    name === "reference" && h("label", { class: "check", for: "filter-empty" }, empty, "the empty one")));
  const form = h("form", { class: `filters of-${view}`, "aria-label": "Filters" }, fields,
    h("div", { class: "actions" },
      h("button", { type: "submit", class: "button primary" }, "Apply"),
      h("a", { class: "button", href: address({ view }) }, "Clear")));

  const taken = () => {
    const filters = {};
    for (const name of names) if (inputs[name].value !== "") filters[name] = inputs[name].value;
    for (const name of ["start", "end"]) if (filters[name] !== undefined) filters[name] = wholeInstant(filters[name]);
    if (empty.checked) filters.reference = "";
    return filters;
  };
  const apply = () => go(address({ view, filters: taken() }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
    if (NARROW.matches) {
      fold.open = false;
      summary.focus();
    }
  });
  inputs.type.addEventListener("change", apply);
  empty.addEventListener("change", () => {
    inputs.reference.disabled = empty.checked;
    apply();
  });

  const show = (filters) => {
    for (const name of names) inputs[name].value = filters[name] ?? "";
    empty.checked = filters.reference === "";
    inputs.reference.disabled = empty.checked;
    fill(chips, names.filter((name) => filters[name] !== undefined).map((name) => chip(view, name, filters)));
    chips.hidden = Object.keys(filters).length === 0;
  };
  const ranges = quickRanges((start) => {
    inputs.start.value = start;
    inputs.end.value = "";
    apply();
  });
  const summary = h("summary", {}, "Filters");
  const fold = h("details", { class: "filter-fold", open: !NARROW.matches }, summary, form, ranges);
  NARROW.addEventListener("change", () => { fold.open = !NARROW.matches; }, { signal });
  return { element: h("section", { class: "card filter-card" }, fold, chips), show };
}

function chip(view, name, filters) {
  const { [name]: value, ...others } = filters;
  return h("a", { class: "chip", href: address({ view, filters: others }), "aria-label": `Remove the filter ${LABELS[name]}: ${value}` },
    h("span", { class: "quiet" }, LABELS[name]), " ", value === "" ? "(empty)" : value, icon("close"));
}

/** A day, or a time without an offset, is meant in UTC; what is whole stays as it is. */
export function wholeInstant(text) {
  const day = /^\d{4}-\d{2}-\d{2}$/;
  const time = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?$/;
  if (day.test(text.trim())) return `${text.trim()}T00:00:00Z`;
  const parts = time.exec(text.trim());
  return parts === null ? text.trim() : `${parts[1]}T${parts[2]}${parts[3] ?? ":00"}Z`;
}
