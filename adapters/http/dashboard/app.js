// The page: its frame, and which view is in it.

import { address, current, watchAddress } from "./base/address.js";
import { key, quiet } from "./base/api.js";
import { on } from "./base/bus.js";
import { fill, h, icon, say } from "./base/dom.js";
import { clock, grouped } from "./base/format.js";
import { live, start, stop, watchHealth } from "./live/live.js";
import { STATUS } from "./parts/healthcard.js";
import { askForKey } from "./parts/keydialog.js";
import { showRecord } from "./records/recorddialog.js";
import { searchBox } from "./records/search.js";
import { alerts } from "./views/alerts.js";
import { deadLetters } from "./views/deadletters.js";
import { overview } from "./views/overview.js";
import { records } from "./views/records.js";
import { rules } from "./views/rules.js";

const VIEWS = {
  overview: { title: "Overview", make: overview },
  records: { title: "Records", make: records },
  alerts: { title: "Alerts", make: alerts },
  "dead-letters": { title: "Dead letters", make: deadLetters },
  rules: { title: "Alert rules", tab: "Rules", make: rules },
};

/** How often those who don't see the page are told of new alerts at most, in milliseconds. */
const TOLD_MS = 15_000;

/** The view that is shown: `{ name, element, over, show, refresh }`. */
let view = null;

/** Shows what the address says. `anew` makes the view again even if it is the same. */
function route(anew = false) {
  const { view: name, record } = current();
  const arrived = view !== null && view.name !== name;
  if (view === null || view.name !== name || anew) {
    view?.over.abort();
    const over = new AbortController();
    view = { name, over, ...VIEWS[name].make(over.signal) };
    fill(document.getElementById("main"), view.element);
  } else {
    view.show?.();
  }
  document.title = name === "overview" ? "Tallyhouse" : `${VIEWS[name].title} · Tallyhouse`;
  drawTabs(name);
  if (arrived) {
    scrollTo(0, 0);
    document.getElementById("main").focus({ preventScroll: true });
  }
  showRecord(record);
}

function drawTabs(name = view.name) {
  const tabs = Object.entries(VIEWS).map(([other, { title, tab = title }]) =>
    h("a", { href: address({ view: other }), "aria-current": other === name ? "page" : null }, tab, other === "dead-letters" && deadLetterCount()));
  const nav = document.getElementById("tabs");
  const focused = [...nav.children].indexOf(document.activeElement);
  fill(nav, tabs);
  nav.children[focused]?.focus();
}

function deadLetterCount() {
  const { count } = live.deadLetters;
  return count > 0 && [" ", h("span", { class: "badge" }, grouped(count))];
}

function drawTools() {
  const pill = h("a", { class: "pill", href: "./", id: "status" });
  const themes = h("button", { type: "button", class: "icon-button", id: "theme" });
  const keys = h("button", { type: "button", class: "icon-button", id: "key-button" });
  const drawTheme = () => {
    const chosen = theme.chosen();
    fill(themes, icon({ auto: "auto", light: "sun", dark: "moon" }[chosen]), h("span", { class: "hidden" }, `Colours: ${chosen}`));
    themes.title = `Colours: ${chosen === "auto" ? "as your system" : chosen}`;
  };
  const drawStatus = () => {
    const { status } = live.health;
    fill(pill, h("span", { class: `dot ${status}` }), STATUS[status][0]);
  };
  const drawKey = () => {
    keys.hidden = key() === null;
    fill(keys, icon("key"), h("span", { class: "hidden" }, "Key: change or forget it"));
  };
  themes.addEventListener("click", () => { theme.turn(); drawTheme(); });
  keys.addEventListener("click", () => askForKey("A key is in use."));
  on("health", drawStatus);
  on("key", drawKey);
  [drawTheme, drawStatus, drawKey].forEach((draw) => draw());
  fill(document.getElementById("tools"), searchBox(), pill, keys, themes);
}

/** Says above everything what keeps the page from being up to date. */
function drawBanner() {
  const banner = document.getElementById("banner");
  const { status, detail, heardAt } = live.health;
  const text = status === "away"
    ? `The service does not answer${heardAt === null ? "" : `; its last answer was at ${clock(heardAt)}`}. What is below is from then. Retrying every few seconds.`
    : status === "unready" ? `The service is not ready: ${detail} Retrying.`
    : quiet() > 0 ? `Too many requests: the service asks to wait ${Math.ceil(quiet() / 1000)} s.` : null;
  banner.hidden = text === null;
  banner.className = `banner ${status}`;
  if (banner.textContent !== (text ?? "")) banner.textContent = text ?? "";
  document.body.classList.toggle("is-away", status === "away");
}

/** The database went back to an earlier state. What was shown is read again, and this is said until somebody has read it. */
function startOver() {
  const note = document.getElementById("changed");
  const close = h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => { note.hidden = true; } }, icon("close"));
  fill(note, h("span", {}, "The history has changed, as when a backup is restored. This page has started over and shows what is stored now."), close);
  note.hidden = false;
  view.refresh?.();
}

/** Tells of new alerts without a word for each. */
function tellOfAlerts() {
  let untold = 0;
  let timer = null;
  on("alerts", ({ message, old }) => {
    if (!message || old) return;
    untold += 1;
    timer ??= setTimeout(() => {
      say(`${untold} new alert${untold === 1 ? "" : "s"}`);
      untold = 0;
      timer = null;
    }, TOLD_MS);
  });
}

watchAddress();
drawTools();
on("address", () => route());
on("health", drawBanner);
on("history-changed", startOver);
on("dead-letter-count", () => drawTabs());
on("limited", ({ until }) => {
  drawBanner();
  setTimeout(drawBanner, until - Date.now() + 50);
});
on("unauthorized", ({ hadKey }) => askForKey(hadKey ? "The service does not know this key." : "This service has keys: it shows nothing without one."));
on("ask-key", () => askForKey("Give a key with the scopes that you need."));
on("key", () => {
  start();
  route(true);
});
on("back", () => view.refresh?.());
addEventListener("pagehide", stop);
addEventListener("pageshow", (event) => event.persisted && start());
tellOfAlerts();
watchHealth();
route();
start();
