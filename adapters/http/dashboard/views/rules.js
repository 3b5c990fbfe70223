// The alert rules: which there are, where they come from, and those that are managed here.

import { call, read } from "../base/api.js";
import { fill, h, say } from "../base/dom.js";
import { clock, counted, grouped, instant, reference } from "../base/format.js";
import { confirmed } from "../parts/confirm.js";
import { failure, loading, notice } from "../parts/notice.js";
import { ruleForm } from "../parts/ruleform.js";

const ORIGINS = { setting: "alerts.threshold", file: "settings file", managed: "managed" };

export function rules(signal) {
  const heading = h("span", { class: "count" });
  const editor = h("div", { class: "rule-editor", hidden: true });
  const body = h("div", {});
  const add = h("button", { type: "button", class: "button primary" }, "New rule");
  const element = h("div", { class: "rules" },
    h("div", { class: "title-row" }, h("h1", {}, "Alert rules ", heading),
      h("div", { class: "actions" }, add, h("button", { type: "button", class: "button", onclick: () => show() }, "Refresh"))),
    h("p", { class: "lead" }, "A record that meets a rule raises an alert. A change here is in force on every instance at once; what was stored before keeps the alerts that it had. Try a rule before you save it: that shows what it would have raised, and changes nothing."),
    editor, body);

  const show = async () => {
    try {
      const { rules: all } = await read("/v1/alert-rules", { signal });
      heading.textContent = grouped(all.filter(({ inForce }) => inForce).length);
      fill(body, all.length > 0 ? table(all, actions) : empty());
    } catch (error) {
      if (signal.aborted) return;
      heading.textContent = "";
      fill(body, error.status === 404 ? notice("No rules here", "This service manages no alert rules.") : failure(error, show));
    }
  };
  /** Opens the form on a rule, or on a new one where there is none; `opener` has the focus again when it is closed. */
  const edit = async (rule, opener) => {
    const close = (said) => {
      editor.hidden = true;
      fill(editor);
      if (said !== undefined) say(said);
      // The button is another one once the list was read again.
      const again = opener.isConnected ? opener : element.querySelector(`[data-edit="${CSS.escape(rule?.name ?? "")}"]`) ?? add;
      again.focus();
    };
    editor.hidden = false;
    fill(editor, h("div", { class: "card" }, loading()));
    try {
      const { form, begin } = ruleForm(rule === null ? { rule: null } : await kept(rule, signal), {
        signal,
        saved: async (said) => { await show(); close(said); },
        closed: () => close(),
      });
      fill(editor, form);
      begin();
    } catch (error) {
      if (!signal.aborted) fill(editor, failure(error, () => edit(rule, opener)));
    }
  };
  const remove = async (rule, result) => {
    try {
      await call(`/v1/alert-rules/${encodeURIComponent(rule.name)}`, { method: "DELETE" });
      say(`The rule ${rule.name} is deleted.`);
      await show();
      add.focus();
    } catch (error) {
      if (error.status === 404) return show();
      fill(result, failure(error, () => remove(rule, result)));
    }
  };
  const actions = (rule, all) => {
    const result = h("div", { class: "result", role: "status" });
    if (!rule.inForce) return h("span", { class: "quiet small" }, "hidden by the managed one");
    const change = h("button", { type: "button", class: "button small", "data-edit": rule.name, "aria-label": `Change ${rule.name}` }, "Change");
    change.addEventListener("click", () => edit(rule, change));
    if (rule.origin !== "managed") return change;
    const gone = h("button", { type: "button", class: "button small danger", "aria-label": `Delete ${rule.name}` }, "Delete");
    const row = h("div", { class: "actions" }, change, gone);
    gone.addEventListener("click", () => confirmed(row, gone, all.some(({ name, inForce }) => name === rule.name && !inForce) ? "The one of the settings will be in force again." : "It will raise no more alerts.", () => remove(rule, result)));
    return h("div", {}, row, result);
  };
  add.addEventListener("click", () => edit(null, add));
  fill(body, loading());
  show();
  return { element, show: () => {}, refresh: show };
}

/** Reads a rule as it is now, with the tag by which a change says what it changes. */
async function kept({ name }, signal) {
  const response = await call(`/v1/alert-rules/${encodeURIComponent(name)}`, { signal });
  return { rule: await response.json(), tag: response.headers.get("etag") };
}

function empty() {
  return h("div", { class: "card" }, h("p", { class: "good-news" }, "No alert rules."), h("p", { class: "quiet" }, `No record raises an alert. As of ${clock(Date.now())}.`));
}

function table(all, actions) {
  const heads = ["Rule", "Is met by", "Only", "From", "Changed", ""];
  return h("section", { class: "card" }, h("div", { class: "scroll" }, h("table", { class: "rule-table stacks" },
    h("caption", { class: "hidden" }, `${counted(all.length, "alert rule")}`),
    h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name === "" ? h("span", { class: "hidden" }, "Actions") : name)))),
    h("tbody", {}, all.map((rule) => row(rule, actions(rule, all)))))));
}

function row(rule, buttons) {
  const { name, origin, inForce, changedAt } = rule;
  return h("tr", { class: inForce ? null : "out-of-force" },
    h("th", { scope: "row", class: "name" }, name),
    h("td", { "data-label": "Is met by" }, h("span", {}, meaning(rule))),
    h("td", { "data-label": "Only" }, h("span", { class: "chips" }, conditions(rule))),
    h("td", { "data-label": "From" }, ORIGINS[origin]),
    h("td", { "data-label": "Changed" }, instant(changedAt, { whole: true })),
    h("td", { class: "row-actions" }, buttons));
}

function meaning({ on, threshold, unit }) {
  const above = [h("strong", {}, grouped(threshold)), " ", h("span", { class: "unit" }, unit ?? "of any unit")];
  return [on === "total" ? "a total that rises above " : "a value above ", above];
}

function conditions({ type, destinationId, sourceId, reference: text }) {
  const only = [["type", type], ["destination", destinationId], ["source", sourceId], ["reference", text]];
  return only.filter(([, value]) => value !== undefined)
    .map(([name, value]) => h("span", { class: "chip" }, h("span", { class: "quiet" }, name), " ", reference(value)));
}
