// Payloads of the queues that were refused: by reason, and what to do with them.

import { page } from "../base/api.js";
import { emit, on } from "../base/bus.js";
import { fill, h } from "../base/dom.js";
import { clock, grouped } from "../base/format.js";
import { live } from "../live/live.js";
import { letterItem } from "../letters/letter.js";
import { letterBar } from "../letters/letterbulk.js";
import { failure, loading, notice } from "../parts/notice.js";
import { more } from "../parts/section.js";

const PAGE = 100;

export function deadLetters(signal) {
  const heading = h("span", { class: "count" });
  const body = h("div", { class: "letters" });
  const element = h("div", { class: "dead-letters" },
    h("div", { class: "title-row" }, h("h1", {}, "Dead letters ", heading),
      h("button", { type: "button", class: "button", onclick: () => show() }, "Refresh")),
    h("p", { class: "lead" }, "What came by a queue and was refused waits here. A replay processes it as if it had just come; once that succeeds it is gone from here."),
    body);

  const show = async () => {
    // Without a Redis among its dependencies the service has no queues, and no dead letters.
    if (live.health.status === "unknown") return;
    if (!("redis" in live.health.dependencies)) return void fill(body, noQueues());
    fill(body, loading());
    emit("dead-letters");
    try {
      await load(body, heading, signal);
    } catch (error) {
      if (signal.aborted) return;
      fill(body, error.status === 404 ? noQueues() : failure(error, show));
    }
  };
  fill(body, loading());
  const first = new AbortController();
  on("health", () => { if (live.health.status !== "unknown") { first.abort(); show(); } }, first.signal);
  signal.addEventListener("abort", () => first.abort());
  if (live.health.status !== "unknown") {
    first.abort();
    show();
  }
  return { element, show: () => {}, refresh: show };
}

function noQueues() {
  return notice("No queues here", "This service has no Redis: records come by HTTP alone, and what is refused is told to whoever sent it. With redis.url set it also consumes queues, and keeps here what it has to refuse.");
}

async function load(body, heading, signal) {
  const items = [];
  const list = h("ol", { class: "letter-list" });
  const rest = h("div", {});
  const bar = letterBar(() => items);
  let after = "";
  let next = null;
  const changed = () => {
    const left = items.filter((item) => !item.isDone()).length;
    heading.textContent = left > 0 ? `${grouped(left)}${next === null ? "" : " and more"}` : "";
    bar.draw();
  };
  const step = async () => {
    const answer = await page(`/v1/dead-letters?limit=${PAGE}${after}`, { signal });
    ({ next } = answer.body);
    after = next === null ? "" : `&after=${encodeURIComponent(next)}`;
    const found = answer.body.deadLetters.map((letter) => letterItem(letter, changed));
    items.push(...found);
    list.append(...found.map(({ element }) => element));
    fill(rest, next !== null && more("More dead letters", items.length, step));
    changed();
  };
  await step();
  fill(body, items.length === 0 ? none() : [bar.element, list, rest]);
}

function none() {
  return h("div", { class: "card" }, h("p", { class: "good-news" }, "No dead letters."), h("p", { class: "quiet" }, `As of ${clock(Date.now())}.`));
}
