// A form that makes the call for real, and shows the answer as it came.

import { key, relative, root } from "../base/api.js";
import { emit } from "../base/bus.js";
import { fill, h, say } from "../base/dom.js";

/** How much of an answer is shown, in characters. */
const SHOWN_MAX = 100_000;

/** The form of a call. */
export function tryIt({ path, method, operation }) {
  const fields = (operation.parameters ?? []).map((parameter) => field(operation.operationId, parameter));
  const body = operation.requestBody ? bodyField(operation) : null;
  const accept = acceptField(operation);
  const answer = h("div", { class: "answered", "aria-live": "polite" });
  const send = h("button", { type: "submit", class: "button primary" }, "Send");
  const stop = h("button", { type: "button", class: "button", hidden: true }, "Stop");
  const changes = method !== "get";
  const form = h("form", { class: "stack" }, h("div", { class: "inputs" }, fields.map(({ element }) => element), accept?.element),
    body?.element, changes ? h("p", { class: "small quiet" }, "This changes what the service holds.") : null, h("div", { class: "actions" }, send, stop), answer);
  let under = null;
  stop.addEventListener("click", () => under?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    under = new AbortController();
    send.disabled = true;
    stop.hidden = false;
    try {
      await call(request(path, method, fields, body, accept), answer, under.signal);
    } finally {
      send.disabled = false;
      stop.hidden = true;
    }
  });
  return h("section", { class: "try" }, h("h3", {}, "Try it"), form);
}

function field(operationId, parameter) {
  const id = `${operationId}-${parameter.in}-${parameter.name}`;
  const { schema } = parameter;
  const words = schema.enum ?? (schema.type === "boolean" ? ["true", "false"] : null);
  // What is filled in is what the path needs; what narrows a search is only suggested.
  const input = words
    ? h("select", { id }, h("option", { value: "" }, "not given"), words.map((word) => h("option", {}, word)))
    : h("input", { id, required: parameter.required, placeholder: parameter.required ? null : parameter.example ?? schema.default ?? null,
      value: parameter.required ? parameter.example : null, autocomplete: "off", spellcheck: "false" });
  return { parameter, input, element: h("div", {}, h("label", { for: id }, parameter.name), input) };
}

function bodyField(operation) {
  const forms = operation.requestBody.content;
  const type = h("select", { "aria-label": "Type of the body" }, Object.keys(forms).map((name) => h("option", {}, name)));
  const id = `${operation.operationId}-body`;
  const text = h("textarea", { id, rows: "8", spellcheck: "false" });
  const show = () => {
    const [example] = Object.values(forms[type.value].examples ?? {});
    text.value = example === undefined ? "" : typeof example.value === "string" ? example.value : JSON.stringify(example.value, null, 2);
  };
  type.addEventListener("change", show);
  show();
  return { type, text, element: h("div", { class: "stack" }, h("label", { for: id }, "Body"), type, text) };
}

function acceptField(operation) {
  const forms = Object.keys(operation.responses["200"]?.content ?? {});
  if (forms.length < 2 || operation.requestBody) return null;
  const id = `${operation.operationId}-accept`;
  const input = h("select", { id }, forms.map((form) => h("option", {}, form)));
  return { input, element: h("div", {}, h("label", { for: id }, "Accept"), input) };
}

/** What is going to be sent. */
function request(path, method, fields, body, accept) {
  const query = new URLSearchParams();
  const headers = {};
  let target = path;
  for (const { parameter, input } of fields) {
    const given = input.value;
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(given));
    else if (given === "") continue;
    else if (parameter.in === "query") query.set(parameter.name, given);
    else headers[parameter.name] = given;
  }
  if (accept) headers.Accept = accept.input.value;
  if (body) headers["Content-Type"] = body.type.value;
  const search = query.toString();
  return { method: method.toUpperCase(), target: search === "" ? target : `${target}?${search}`, headers, body: body?.text.value };
}

/** The same for a shell. The key is named, not shown. */
function asCurl({ method, target, headers, body }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl", method === "GET" ? "" : `-X ${method}`, quoted(root() + target)];
  if (key() !== null) parts.push('-H "Authorization: Bearer $TALLYHOUSE_KEY"');
  for (const [name, value] of Object.entries(headers)) parts.push("-H", quoted(`${name}: ${value}`));
  if (body !== undefined) parts.push("--data-binary", quoted(body));
  return parts.filter((part) => part !== "").join(" ");
}

async function call(asked, answer, signal) {
  const curl = h("pre", { class: "code", tabindex: "0" }, asCurl(asked));
  const shown = h("pre", { class: "code", tabindex: "0" });
  const head = h("p", { class: "small" }, "Waiting for the answer …");
  fill(answer, curl, head);
  const began = performance.now();
  try {
    const withKey = key() === null ? {} : { Authorization: `Bearer ${key()}` };
    const response = await fetch(relative(asked.target), { method: asked.method, headers: { ...withKey, ...asked.headers }, body: asked.body, signal, cache: "no-store" });
    const names = ["content-type", "x-request-id", "link", "etag", "retry-after", "ratelimit", "idempotent-replayed"];
    const headers = names.filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}`);
    const status = h("span", { class: `status s${String(response.status)[0]}` }, String(response.status));
    fill(head, status, ` in ${Math.round(performance.now() - began)} ms`);
    answer.append(h("pre", { class: "code quiet", tabindex: "0" }, headers.join("\n")), shown);
    say(`Answered with ${response.status}`);
    if (response.status === 401) emit("unauthorized", { hadKey: key() !== null });
    await show(response, shown);
  } catch (error) {
    const stopped = error.name === "AbortError";
    answer.append(h("p", { class: "small quiet" }, stopped ? "Stopped." : `The answer broke off, or none came: ${error.message}`));
  }
}

/** Shows the body as it comes: an event stream has no end. */
async function show(response, shown) {
  if (response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    shown.textContent = text.slice(0, SHOWN_MAX);
    if (text.length > SHOWN_MAX) {
      shown.textContent += "\n… and more.";
      await reader.cancel();
      return;
    }
  }
  const isJson = /json$/.test((response.headers.get("content-type") ?? "").split(";")[0]);
  // Values are texts, and counts are below what a float holds: nothing is lost by reading them.
  if (isJson && text !== "") shown.textContent = JSON.stringify(JSON.parse(text), null, 2);
}
