// Payloads of the queues that were refused: why, and what to do with each.

import { call, page, read } from "../base/api.js";
import { emit, on } from "../base/bus.js";
import { fill, h, say } from "../base/dom.js";
import { clock, counted, grouped, instant } from "../base/format.js";
import { live } from "../live/live.js";
import { confirmed } from "../parts/confirm.js";
import { failure, loading, notice } from "../parts/notice.js";
import { recordLink } from "../parts/recorddialog.js";

const PAGE = 50;

const REASONS = {
  rejected: "breaks a rule, or is refused by storage",
  conflict: "was processed before with other content",
  "not-json": "is not well-formed JSON",
  "too-large": "is larger than a record may be",
};

export function deadLetters(signal) {
  const heading = h("span", { class: "count" });
  const body = h("div", { class: "letters" });
  const element = h("div", { class: "dead-letters" },
    h("div", { class: "title-row" }, h("h1", {}, "Dead letters ", heading),
      h("button", { type: "button", class: "button", onclick: () => show() }, "Look again")),
    h("p", { class: "lead" }, "What came by a queue and was refused waits here. Replayed, it is processed as if it had just come; once that succeeds it is gone from here."),
    body);
  const list = h("ol", { class: "letter-list" });

  const show = async () => {
    // Without a Redis among its dependencies the service has no queues, and no dead letters.
    if (live.health.status === "unknown") return;
    if (!("redis" in live.health.dependencies)) return void fill(body, noQueues());
    fill(body, loading());
    try {
      await load(list, body, heading, signal);
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

async function load(list, body, heading, signal) {
  let after = "";
  fill(list);
  const step = async () => {
    const answer = await page(`/v1/dead-letters?limit=${PAGE}${after}`, { signal });
    const { deadLetters: letters, next } = answer.body;
    after = next === null ? "" : `&after=${encodeURIComponent(next)}`;
    list.append(...letters.map((letter) => item(letter, recount)));
    more.hidden = next === null;
    recount();
  };
  const more = h("button", { type: "button", class: "button", onclick: () => step().catch((error) => body.append(failure(error, step))) }, "More");
  const recount = () => {
    const left = list.querySelectorAll(":scope > li:not(.done)").length;
    heading.textContent = left > 0 ? `${grouped(left)}${more.hidden ? "" : " and more"}` : "";
    empty.hidden = list.children.length > 0;
  };
  const empty = h("div", { class: "card" }, h("p", { class: "good-news" }, "Nothing was refused."), h("p", { class: "quiet" }, `Looked at ${clock(Date.now())}.`));
  await step();
  fill(body, empty, list, h("div", { class: "more-link" }, more));
}

/** One dead letter, with what can be done. `changed` is called when it is gone. */
function item(letter, changed) {
  const { id, reason, detail, origin, at } = letter;
  const result = h("div", { class: "result", role: "status" });
  const replay = h("button", { type: "button", class: "button primary" }, "Replay");
  const remove = h("button", { type: "button", class: "button danger" }, "Delete");
  const actions = h("div", { class: "actions" }, replay, remove);
  const element = h("li", { class: "card letter" },
    h("div", { class: "card-head" },
      h("h2", {}, h("span", { class: `chip reason ${reason}` }, reason), " ", h("span", { class: "quiet" }, REASONS[reason] ?? "")),
      h("span", { class: "quiet small" }, `from the ${origin}, `, instant(at, { whole: true }))),
    detail && h("p", { class: "detail" }, detail),
    payload(letter), result, actions);

  const act = async (work) => {
    replay.disabled = remove.disabled = true;
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") explain(result, error);
    } finally {
      replay.disabled = remove.disabled = false;
    }
  };
  const gone = (...content) => {
    element.classList.add("done");
    fill(result, content);
    actions.remove();
    changed();
  };
  replay.addEventListener("click", () => act(async () => {
    const done = await read(`/v1/dead-letters/${encodeURIComponent(id)}/replay`, { method: "POST" });
    gone(h("strong", {}, done.outcome === "duplicate" ? "It was processed before" : "Processed"), ` as no. ${grouped(done.sequence)}: `, recordLink(done.recordId));
    emit("replayed");
  }));
  remove.addEventListener("click", () => confirmed(actions, remove, "It can't be had back.", () => act(async () => {
    await call(`/v1/dead-letters/${encodeURIComponent(id)}`, { method: "DELETE" });
    gone(h("strong", {}, "Deleted"));
  })));
  return element;
}

function explain(result, error) {
  const reasons = (error.problem?.errors ?? []).map(({ pointer, detail }) => h("li", {}, h("code", {}, pointer === "" ? "/" : pointer), " ", detail));
  const differs = error.problem?.differs;
  // Where the reasons are listed, they are all that the message says.
  fill(result, h("strong", {}, `Not processed: ${error.title}`), reasons.length === 0 && h("p", {}, error.message),
    differs && h("p", {}, `Other than before: ${differs.join(", ")}.`), reasons.length > 0 && h("ul", {}, reasons));
  if (error.status === 401 || error.status === 403) result.append(failure(error, () => {}));
  say(`${error.title}. ${error.message}`);
}

function payload({ payload: text, payloadBase64 }) {
  const shown = text ?? payloadBase64;
  const title = text === undefined ? "Payload, in Base64: it is no text" : `Payload, ${counted(shown.length, "character")}`;
  return h("details", { class: "payload", open: shown.length <= 400 }, h("summary", {}, title), h("pre", { tabindex: "0", "aria-label": "Payload" }, h("code", {}, shown)));
}
