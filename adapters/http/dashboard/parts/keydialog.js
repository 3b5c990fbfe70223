// Asks for an API key, where the service has keys.

import { forgetKey, key, useKey } from "../base/api.js";
import { h } from "../base/dom.js";
import { openDialog } from "./dialog.js";

let open = null;

/** Asks for a key, unless that is being done. `why` is said above. */
export function askForKey(why) {
  if (open !== null) return;
  const input = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-note" });
  const forget = h("button", { type: "button", class: "button", onclick: () => { open.dialog.close(); forgetKey(); } }, "Forget the key");
  const form = h("form", { class: "stack", method: "dialog" },
    h("p", {}, why),
    h("label", { for: "key" }, "API key"),
    input,
    h("p", { id: "key-note", class: "quiet small" },
      "It is kept in this tab alone until you close it, and sent to this service only. ",
      "The scope read is needed; admin for dead letters and alert rules. ",
      h("code", {}, "tallyhouse keys new"), " makes one."),
    h("div", { class: "actions" }, h("button", { type: "submit", class: "button primary" }, "Use this key"), key() !== null && forget));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = input.value.trim();
    open.dialog.close();
    if (given !== "") useKey(given);
  });
  open = openDialog("Key", form, { closed: () => { open = null; } });
  input.focus();
}
