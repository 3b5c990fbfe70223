// A dialog over the page. The browser keeps the focus in it, closes it by Escape, and gives the focus back.

import { fill, h, icon } from "../base/dom.js";

/** Opens a dialog. `closed` is called once, however it is closed. Returns it, and its body to be filled. */
export function openDialog(title, content, { closed = () => {}, wide = false } = {}) {
  const body = h("div", { class: "dialog-body" });
  const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close"));
  const dialog = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": "dialog-title" },
    h("div", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title), close), body);
  fill(body, content);
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  // A click beside it is one on the dialog itself.
  dialog.addEventListener("mousedown", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, body };
}
