// A part of a view that is loaded by itself, page by page.

import { fill, h } from "../base/dom.js";
import { failure, loading } from "./notice.js";

/** Makes a section with a title, and tools beside it. */
export function section(title, ...tools) {
  const [heading, body, beside] = [h("h2", {}, title), h("div", {}), h("div", { class: "beside" }, tools)];
  return { title, heading, body, beside, card: h("section", { class: "card" }, h("div", { class: "card-head" }, heading, beside), body) };
}

/** Writes what is in a section beside its title. */
export function entitle({ title, heading }, text) {
  fill(heading, title, " ", h("span", { class: "count" }, text));
}

/** Loads what a section shows, once and whenever it is asked to again. */
export async function load({ body }, signal, work) {
  fill(body, loading());
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return;
    fill(body, failure(error, () => load({ body }, signal, work)));
  }
}

/** A button that loads the next page below what is there. */
export function more(label, after, step) {
  const place = h("div", { class: "more-link" });
  const button = h("button", { type: "button", class: "button", "data-after": after }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await step();
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(place, failure(error, () => fill(place, button)));
      button.disabled = false;
    }
  });
  return fill(place, button);
}
