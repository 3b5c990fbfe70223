// One dead letter: why it was refused, its payload, and what can be done with it.

import { call, read } from "../base/api.js";
import { emit } from "../base/bus.js";
import { fill, h, say } from "../base/dom.js";
import { counted, grouped, instant } from "../base/format.js";
import { confirmed } from "../parts/confirm.js";
import { failure } from "../parts/notice.js";
import { recordLink } from "../records/recorddialog.js";

const REASONS = {
  rejected: "breaks a rule, or is refused by storage",
  conflict: "was processed before with other content",
  "not-json": "is not well-formed JSON",
  "too-large": "is larger than a record may be",
};

/** Reasons that stay: the payload would be refused again. */
const LASTING = ["not-json", "malformed", "conflict", "too-large"];

/** Whether a replay may succeed. Of rejected records, only those that storage refused may: the others break rules. */
export function mayRecover({ reason, detail }) {
  const byStorage = !detail.startsWith("/") && detail.includes("storage");
  return !LASTING.includes(reason) && (reason !== "rejected" || byStorage);
}

/** Makes a dead letter's element. `replay` and `remove` do so without asking, and throw where that fails; `changed` is called when it is gone. */
export function letterItem(letter, changed) {
  const path = `/v1/dead-letters/${encodeURIComponent(letter.id)}`;
  const result = h("div", { class: "result", role: "status" });
  const recovers = mayRecover(letter);
  const replayButton = recovers && h("button", { type: "button", class: "button primary" }, "Replay");
  const removeButton = h("button", { type: "button", class: "button danger" }, "Delete");
  const actions = h("div", { class: "actions" }, replayButton, removeButton,
    !recovers && h("span", { class: "quiet small" }, "A replay would be refused again: send a corrected record."));
  const element = h("li", { class: "card letter" }, head(letter), letter.detail && h("p", { class: "detail" }, letter.detail), payload(letter), result, actions);

  const act = async (work) => {
    const buttons = [...actions.querySelectorAll("button")];
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") explain(result, error);
      throw error;
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  };
  const gone = (...content) => {
    element.classList.add("done");
    fill(result, content);
    actions.remove();
    changed();
    emit("dead-letters");
  };
  const item = {
    letter,
    element,
    recovers,
    isDone: () => element.classList.contains("done"),
    replay: () => act(async () => {
      const done = await read(`${path}/replay`, { method: "POST" });
      gone(h("strong", {}, done.outcome === "duplicate" ? "It was processed before" : "Processed"), ` as no. ${grouped(done.sequence)}: `, recordLink(done.recordId));
    }),
    remove: () => act(async () => {
      await call(path, { method: "DELETE" });
      gone(h("strong", {}, "Deleted"));
    }),
  };
  // What went wrong is said beside the letter.
  const alone = (work) => () => work().catch(() => {});
  if (recovers) replayButton.addEventListener("click", alone(item.replay));
  removeButton.addEventListener("click", () => confirmed(actions, removeButton, "This can't be undone.", alone(item.remove)));
  return item;
}

function head({ reason, origin, at }) {
  return h("div", { class: "card-head" },
    h("h2", {}, h("span", { class: `chip reason ${reason}` }, reason), " ", h("span", { class: "quiet" }, REASONS[reason] ?? "")),
    h("span", { class: "quiet small" }, `from the ${origin}, `, instant(at, { whole: true })));
}

function explain(result, error) {
  const reasons = (error.problem?.errors ?? []).map(({ pointer, detail }) => h("li", {}, h("code", {}, pointer === "" ? "/" : pointer), " ", detail));
  const differs = error.problem?.differs;
  // Where the reasons are listed, they are all that the message says.
  fill(result, h("strong", {}, `Not done: ${error.title}`), reasons.length === 0 && h("p", {}, error.message),
    differs && h("p", {}, `Differs in: ${differs.join(", ")}.`), reasons.length > 0 && h("ul", {}, reasons));
  if (error.status === 401 || error.status === 403) result.append(failure(error, () => {}));
  say(`${error.title}. ${error.message}`);
}

function payload({ payload: text, payloadBase64 }) {
  const shown = text ?? payloadBase64;
  const title = text === undefined ? "Payload, in Base64: it is no text" : `Payload, ${counted(shown.length, "character")}`;
  return h("details", { class: "payload", open: shown.length <= 400 }, h("summary", {}, title), h("pre", { tabindex: "0", "aria-label": "Payload" }, h("code", {}, shown)));
}
