// The form of an alert rule: tried over what is stored, then saved.

import { call, read } from "../base/api.js";
import { fill, h, say } from "../base/dom.js";
import { dryRun } from "./dryrun.js";
import { wholeInstant } from "../records/filterform.js";
import { failure, notice } from "./notice.js";
import { withCalendar } from "./timerange.js";

/** The fields of a rule, named as in the API. */
const FIELDS = {
  name: { label: "Name", hint: "a-z, 0-9 and -" },
  on: { label: "Watches", options: [["value", "single values"], ["total", "running totals"]] },
  threshold: { label: "Alerts above", attributes: { inputmode: "decimal", placeholder: "1000" } },
  unit: { label: "Unit", hint: "any, if empty" },
  type: { label: "Type", options: [["", "any"], ["positive", "positive"], ["negative", "negative"]] },
  destinationId: { label: "Destination", hint: "any, if empty" },
  sourceId: { label: "Source", hint: "any, if empty" },
  reference: { label: "Reference", hint: "any, if empty" },
};

/** A total is one of all records of a key: these can't be asked for. */
const NOT_ON_TOTALS = ["type", "sourceId"];

/** Makes the form. `rule` is what is changed, with its `tag`, or null for a new one. `saved` is told when it is, `closed` when it is
 * given up. Returns it, and what to call once it is on the page. */
export function ruleForm({ rule, tag = null }, { signal, saved, closed }) {
  const inputs = Object.fromEntries(Object.entries(FIELDS).map(([name, field]) => [name, inputOf(name, field)]));
  const empty = h("input", { type: "checkbox", id: "rule-empty" });
  const window = Object.fromEntries([["start", "From"], ["end", "Before"]].map(([name, label]) =>
    [name, { label, input: h("input", { id: `rule-${name}`, autocomplete: "off", spellcheck: "false", placeholder: "any time, or 2013-01-31" }) }]));
  const attempt = h("button", { type: "button", class: "button" }, "Try it");
  const save = h("button", { type: "submit", class: "button primary" }, "Save");
  const said = h("div", { class: "result", role: "alert" });
  const tried = h("div", { class: "tried" });
  const title = rule === null ? "New rule" : rule.origin === "managed" ? `Change ${rule.name}` : `Override ${rule.name}`;
  const note = rule !== null && rule.origin !== "managed" && h("p", { class: "quiet small" }, "The rule of the settings stays as it is, and is in force again once the managed one is deleted.");
  const form = h("form", { class: "card rule-form", "aria-label": title, novalidate: true },
    h("div", { class: "card-head" }, h("h2", {}, title)), note,
    h("div", { class: "rule-fields" }, Object.entries(FIELDS).map(([name, field]) => fieldOf(name, field, inputs[name],
      name === "reference" && h("label", { class: "check", for: "rule-empty" }, empty, "the empty one")))),
    h("fieldset", { class: "window" }, h("legend", {}, "Try it over the records of"),
      Object.entries(window).map(([name, { label, input }]) => h("div", { class: "field" }, h("label", { for: `rule-${name}` }, label), withCalendar(input, label, () => {}), message(name))), attempt),
    said,
    h("div", { class: "actions" }, save, h("button", { type: "button", class: "button", onclick: closed }, "Cancel")),
    tried);

  const drawOn = () => {
    const onTotal = inputs.on.value === "total";
    for (const name of NOT_ON_TOTALS) inputs[name].disabled = onTotal;
    inputs.reference.disabled = empty.checked;
  };
  const written = () => {
    const body = {};
    for (const name of Object.keys(FIELDS)) {
      const text = inputs[name].value.trim();
      // A threshold that is missing is refused with its own words.
      if (text !== "" && name !== "name" && !inputs[name].disabled) body[name] = text;
    }
    if (empty.checked) body.reference = "";
    return JSON.stringify(body);
  };
  const path = () => `/v1/alert-rules/${encodeURIComponent(inputs.name.value.trim())}`;
  /** Works while the buttons rest. What is refused is said beside its field. */
  const act = async (button, word, work) => {
    const label = button.textContent;
    [attempt, save].forEach((each) => { each.disabled = true; });
    button.textContent = word;
    clear(form);
    fill(said);
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") explain(form, said, error, () => act(button, word, work));
    } finally {
      button.textContent = label;
      [attempt, save].forEach((each) => { each.disabled = false; });
    }
  };
  const headers = { "Content-Type": "application/json" };
  attempt.addEventListener("click", () => {
    // A rule can be tried before it has a name.
    const target = inputs.name.value.trim() === "" ? "/v1/alert-rules/new" : path();
    const query = new URLSearchParams();
    for (const [name, { input }] of Object.entries(window)) {
      input.value = wholeInstant(input.value);
      if (input.value !== "") query.set(name, input.value);
    }
    fill(tried);
    act(attempt, "Trying …", async () => {
      const report = await read(`${target}/dry-run?${query}`, { method: "POST", headers, body: written(), signal });
      const shown = dryRun(report);
      fill(tried, shown.element);
      say(shown.said);
    });
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (inputs.name.value.trim() === "") return void refuse(form, said, [{ pointer: "/name", detail: "is missing" }]);
    // What somebody else has made or changed meanwhile is not written over.
    const condition = tag === null ? { "If-None-Match": "*" } : { "If-Match": tag };
    act(save, "Saving …", async () => {
      await call(path(), { method: "PUT", headers: { ...headers, ...condition }, body: written() });
      await saved(`The rule ${inputs.name.value.trim()} is in force.`);
    });
  });
  form.addEventListener("keydown", (event) => event.key === "Escape" && closed());
  inputs.on.addEventListener("change", drawOn);
  empty.addEventListener("change", drawOn);

  for (const name of Object.keys(FIELDS)) inputs[name].value = rule?.[name] ?? (name === "on" ? "value" : "");
  inputs.name.readOnly = rule !== null;
  empty.checked = rule?.reference === "";
  drawOn();
  return { form, begin: () => (rule === null ? inputs.name : inputs.threshold).focus() };
}

function inputOf(name, { options, attributes = {}, hint }) {
  const common = { id: `rule-${name}`, name, "aria-describedby": `rule-${name}-error` };
  return options
    ? h("select", common, options.map(([value, label]) => h("option", { value }, label)))
    : h("input", { ...common, autocomplete: "off", spellcheck: "false", placeholder: hint, ...attributes });
}

function fieldOf(name, { label }, input, more) {
  return h("div", { class: `field of-${name}` }, h("label", { for: `rule-${name}` }, label), input, more, message(name));
}

function message(name) {
  return h("p", { class: "field-error", id: `rule-${name}-error`, hidden: true });
}

function clear(form) {
  for (const error of form.querySelectorAll(".field-error")) error.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/** Says what is wrong with each field beside it; the first of them has the focus. */
function refuse(form, said, errors) {
  const elsewhere = [];
  let first = null;
  for (const { pointer, parameter, detail } of errors) {
    const name = parameter ?? pointer.slice(1);
    const [input, error] = [form.querySelector(`#rule-${CSS.escape(name)}`), form.querySelector(`#rule-${CSS.escape(name)}-error`)];
    if (input === null || error === null) {
      elsewhere.push(`${name === "" ? "The rule" : name} ${detail}`);
      continue;
    }
    error.textContent = detail;
    error.hidden = false;
    input.setAttribute("aria-invalid", "true");
    first ??= input;
  }
  if (elsewhere.length > 0) fill(said, notice("The rule is refused", `${elsewhere.join("; ")}.`));
  first?.focus();
}

function explain(form, said, error, again) {
  const errors = error.problem?.errors;
  if (Array.isArray(errors) && (error.status === 422 || error.status === 400)) return refuse(form, said, errors);
  if (error.status === 412) {
    return void fill(said, notice("Changed meanwhile", "Somebody has created, changed or deleted a managed rule of this name since. Close this form and refresh."));
  }
  fill(said, failure(error, again));
}
