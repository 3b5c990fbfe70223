// The search box at the top: from a record's id to the record.

import { address, current, go } from "../base/address.js";
import { h, icon } from "../base/dom.js";

/** Makes the box. What it finds is shown above the current view. */
export function searchBox() {
  const input = h("input", { type: "search", id: "find", name: "find", placeholder: "Record id", "aria-label": "Find a record by its id", autocomplete: "off", spellcheck: "false" });
  const form = h("form", { class: "find", role: "search" }, icon("search"), input);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = input.value.trim();
    if (id !== "") go(address({ ...current(), record: id }));
  });
  return form;
}
