// The reference: every call of the document at /openapi.json, with its examples, and a form to try it.

import { key, read } from "../base/api.js";
import { on } from "../base/bus.js";
import { fill, h, icon, say } from "../base/dom.js";
import { askForKey } from "../parts/keydialog.js";
import { operationCard } from "./operation.js";
import { keep, prose, schemaCard, schemaNames } from "./schema.js";

/** Below this width the contents are closed until somebody opens them. */
const NARROW = matchMedia("(max-width: 900px)");

/** All cards, with the words by which they are found and their lines in the contents. */
let entries = [];

function drawTools() {
  const keys = h("button", { type: "button", class: "button small", onclick: () => askForKey("It is sent with the calls that you try.") });
  const themes = h("button", { type: "button", class: "icon-button" });
  let asked = false;
  // Only an answer tells that the service has keys.
  const drawKey = () => {
    keys.hidden = key() === null && !asked;
    fill(keys, icon("key"), key() === null ? "Give a key" : "Key in use");
  };
  const drawTheme = () => {
    const chosen = theme.chosen();
    fill(themes, icon({ auto: "auto", light: "sun", dark: "moon" }[chosen]), h("span", { class: "hidden" }, `Colours: ${chosen}`));
    themes.title = `Colours: ${chosen === "auto" ? "as your system" : chosen}`;
  };
  themes.addEventListener("click", () => { theme.turn(); drawTheme(); });
  on("key", drawKey);
  on("unauthorized", ({ hadKey }) => {
    asked = true;
    drawKey();
    askForKey(hadKey ? "The service does not know this key." : "This call needs a key.");
  });
  [drawKey, drawTheme].forEach((draw) => draw());
  fill(document.getElementById("tools"), keys, themes);
}

/** The calls of a document, group by group. */
function groupsOf(api) {
  const calls = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  return api.tags.map((tag) => ({ tag, calls: calls.filter(({ operation }) => operation.tags[0] === tag.name) }));
}

function draw(api) {
  keep(api);
  const contents = [];
  const sections = groupsOf(api).map(({ tag, calls }) => {
    const cards = calls.map((call) => {
      const card = operationCard(call);
      const line = h("li", {}, h("a", { href: `#${card.id}` }, badge(call.method), h("span", {}, prose(call.operation.summary))));
      entries.push({ card, line, words: `${call.method} ${call.path} ${call.operation.summary} ${call.operation.operationId}`.toLowerCase() });
      return { card, line };
    });
    contents.push(h("section", { class: "group" }, h("h3", {}, tag.name), h("ul", {}, cards.map(({ line }) => line))));
    return h("section", { class: "group" }, h("h2", {}, tag.name), h("p", { class: "quiet" }, tag.description), cards.map(({ card }) => card));
  });
  const schemas = schemaNames().map((name) => {
    const card = schemaCard(name);
    const line = h("li", {}, h("a", { href: `#${card.id}` }, h("code", {}, name)));
    entries.push({ card, line, words: `schema ${name}`.toLowerCase() });
    return { card, line };
  });
  const folded = h("details", {}, h("summary", {}, h("h3", {}, "Schemas")), h("ul", {}, schemas.map(({ line }) => line)));
  contents.push(h("section", { class: "group" }, folded));
  sections.push(h("section", { class: "group" }, h("h2", {}, "Schemas"), h("p", { class: "quiet" }, "What goes in and comes out: JSON Schema, draft 2020-12."), schemas.map(({ card }) => card)));
  const list = h("details", { class: "contents", open: !NARROW.matches }, h("summary", {}, "Contents"), contents);
  NARROW.addEventListener("change", () => { list.open = !NARROW.matches; });
  list.addEventListener("click", (event) => { if (NARROW.matches && event.target.closest("a")) list.open = false; });
  fill(document.getElementById("main"), h("div", { class: "reference" },
    h("nav", { class: "side", "aria-label": "Calls" }, searchBox(), list),
    h("div", { class: "calls" }, introduction(api), h("p", { class: "notice", id: "nothing", hidden: true }, "Nothing here has these words."), sections)));
}

function badge(method) {
  return h("span", { class: `method ${method}` }, method.toUpperCase());
}

function introduction(api) {
  return h("header", { class: "intro" },
    h("h1", {}, `${api.info.title} API`, " ", h("span", { class: "chip" }, api.info.version)),
    api.info.description.split("\n\n").map((paragraph) => h("p", {}, prose(paragraph))),
    h("p", {}, prose(api.components.securitySchemes.key.description)),
    h("p", { class: "quiet small" }, "For your tools: ", h("a", { href: "openapi.json", download: "tallyhouse-openapi.json" }, "openapi.json"),
      ` (OpenAPI ${api.openapi}). Press / to search.`));
}

function searchBox() {
  const input = h("input", { type: "search", id: "search", placeholder: "Search calls and schemas", "aria-label": "Search calls and schemas", autocomplete: "off" });
  input.addEventListener("input", () => find(input.value));
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
    }
  });
  return input;
}

/** Shows what has all of these words. */
function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  let found = 0;
  for (const { card, line, words: known } of entries) {
    const matches = words.every((word) => known.includes(word));
    card.hidden = !matches;
    line.hidden = !matches;
    found += matches ? 1 : 0;
  }
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = [...group.querySelectorAll(".entry, li")].every((entry) => entry.hidden);
  }
  for (const folded of document.querySelectorAll(".contents .group details")) folded.open = words.length > 0;
  document.getElementById("nothing").hidden = found > 0;
  say(`${found} found`);
}

/** Opens what the address names. */
function openNamed() {
  const named = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
  if (named === null) return;
  if (named.hidden) {
    document.getElementById("search").value = "";
    find("");
  }
  named.open = true;
  named.scrollIntoView();
  named.querySelector("summary").focus({ preventScroll: true });
}

async function begin() {
  const main = document.getElementById("main");
  drawTools();
  try {
    draw(await read("/openapi.json"));
  } catch (error) {
    fill(main, h("div", { class: "notice" }, h("h2", {}, "The document did not come"), h("p", {}, error.message),
      h("div", { class: "actions" }, h("button", { type: "button", class: "button", onclick: () => { entries = []; begin(); } }, "Try again"))));
    return;
  }
  openNamed();
}

addEventListener("hashchange", openNamed);
begin();
