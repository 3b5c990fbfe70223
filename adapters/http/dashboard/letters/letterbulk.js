// Dead letters by reason, and what is done with all of a reason at once.

import { fill, h, say } from "../base/dom.js";
import { counted, grouped } from "../base/format.js";
import { confirmed } from "../parts/confirm.js";
import { failure } from "../parts/notice.js";

/** Statuses of a refusal that is the letter's own: the others may go on. */
const OWN = [400, 404, 409, 413, 422];

/** Makes the bar above the letters. `items()` are all that are loaded. */
export function letterBar(items) {
  let chosen = null;
  let busy = false;
  const reasons = h("div", { class: "reasons", role: "group", "aria-label": "Reasons" });
  const actions = h("div", { class: "actions" });
  const result = h("div", { class: "result", role: "status" });
  const element = h("div", { class: "card letter-bar" }, reasons, actions, result);

  const left = () => items().filter((item) => !item.isDone());
  const shown = () => left().filter(({ letter }) => chosen === null || letter.reason === chosen);
  const work = async ([doing, ended], these, act) => {
    busy = true;
    const { done, refused, failed } = await oneByOne(these, act, (at) => fill(result, `${doing} ${grouped(at)} of ${grouped(these.length)} …`));
    busy = false;
    const told = `${ended} ${counted(done, "letter")}${refused > 0 ? `, ${grouped(refused)} refused` : ""}.`;
    fill(result, told, failed && failure(failed, () => fill(result)));
    say(told);
    draw();
  };
  const draw = () => {
    const all = left();
    const names = [...new Set(all.map(({ letter }) => letter.reason))].sort();
    if (!names.includes(chosen)) chosen = null;
    for (const { letter, element: card } of items()) card.hidden = chosen !== null && letter.reason !== chosen;
    const button = (reason, name, count) => h("button", { type: "button", class: "button small", "aria-pressed": String(reason === chosen), "data-reason": reason ?? "", onclick: () => { chosen = reason; draw(); } },
      name, " ", h("span", { class: "badge" }, grouped(count)));
    const focused = [...reasons.children].indexOf(document.activeElement);
    fill(reasons, button(null, "All", all.length), names.map((name) => button(name, name, all.filter(({ letter }) => letter.reason === name).length)));
    reasons.children[focused]?.focus();
    drawActions();
  };
  const drawActions = () => {
    const these = busy ? [] : shown();
    const recovering = these.filter(({ recovers }) => recovers);
    const replay = recovering.length > 1 && h("button", { type: "button", class: "button", onclick: () => work(["Replaying", "Replayed"], recovering, (item) => item.replay()) }, `Replay ${counted(recovering.length, "letter")}`);
    const remove = these.length > 1 && h("button", { type: "button", class: "button danger" }, `Delete ${counted(these.length, "letter")}`);
    if (remove) remove.addEventListener("click", () => confirmed(actions, remove, "This can't be undone.", () => work(["Deleting", "Deleted"], these, (item) => item.remove())));
    fill(actions, replay, remove);
    element.hidden = items().length === 0;
  };
  return { element, draw };
}

/** Works on one letter after the other; ends at a failure that would meet the others as well. */
async function oneByOne(items, act, tell) {
  const counts = { done: 0, refused: 0, failed: null };
  for (const [at, item] of items.entries()) {
    tell(at + 1);
    try {
      await act(item);
      counts.done += 1;
    } catch (error) {
      if (!OWN.includes(error.status)) return { ...counts, failed: error };
      counts.refused += 1;
    }
  }
  return counts;
}
