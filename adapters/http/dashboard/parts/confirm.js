// Asks once more before something is deleted.

import { fill, h } from "../base/dom.js";

/** Asks in the place of the buttons, of which `button` was pressed, and says what it will mean; works on a yes. */
export function confirmed(actions, button, meaning, work) {
  const before = [...actions.children];
  const back = () => { fill(actions, before); button.focus(); };
  const yes = h("button", { type: "button", class: "button danger", onclick: () => { back(); work(); } }, "Delete");
  const no = h("button", { type: "button", class: "button", onclick: back }, "Cancel");
  fill(actions, h("span", {}, meaning), yes, no);
  no.focus();
}
