// One call: what it is asked with, and how it may be answered.

import { h } from "../base/dom.js";
import { codeOf, limitsOf, prose, resolve, tree, typeOf, whenOpened } from "./schema.js";
import { tryIt } from "./tryit.js";

/** The card of a call. */
export function operationCard({ path, method, operation }) {
  const card = h("details", { class: "card entry", id: operation.operationId },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()), pathOf(path), h("span", { class: "quiet" }, prose(operation.summary))));
  return whenOpened(card, () => [
    operation.description ? h("p", { class: "told" }, prose(operation.description)) : null,
    h("p", { class: "small quiet" }, needs(operation.security)),
    parameters(operation.parameters ?? []),
    requestBody(operation.requestBody),
    answers(operation.responses),
    tryIt({ path, method, operation }),
  ]);
}

function pathOf(path) {
  // A long path may break behind a slash.
  return h("code", { class: "path" }, path.split(/(?<=\/)/).flatMap((part) => [part, h("wbr")]));
}

function needs(security) {
  if (security.length === 0) return "Open: needs no key.";
  return ["Where the service has keys, needs one with the scope ", h("code", {}, security[0].key.join(", ")), "."];
}

function parameters(all) {
  if (all.length === 0) return null;
  const rows = all.map((parameter) => h("tr", {},
    h("th", { scope: "row" }, h("code", {}, parameter.name), parameter.required ? null : h("span", { class: "quiet small" }, " optional")),
    h("td", { class: "short", "data-label": "in" }, parameter.in),
    h("td", { class: "short", "data-label": "is" }, h("span", {}, typeOf(parameter.schema), " ", h("span", { class: "quiet small" }, limitsOf(parameter.schema)))),
    h("td", { "data-label": "" }, h("span", {}, prose(parameter.description)))));
  const heads = ["parameter", "in", "is", "means"].map((head) => h("th", { scope: "col" }, head));
  return h("section", {}, h("h3", {}, "Parameters"), h("div", { class: "scroll" },
    h("table", { class: "stacks" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))));
}

function requestBody(body) {
  if (body === undefined) return null;
  return h("section", {}, h("h3", {}, "Body"), h("p", {}, prose(body.description)), Object.entries(body.content).map(([type, media]) => form(type, media)));
}

/** A body in one of its forms. */
function form(type, media) {
  const lines = media["x-itemSchema"];
  const schema = lines ?? media.schema;
  const below = tree(schema);
  const examples = Object.values(media.examples ?? {});
  const title = [h("code", {}, type), " ", h("span", { class: "type" }, lines ? ["lines, each ", typeOf(lines)] : typeOf(schema))];
  const said = media.schema.description ? h("p", { class: "small" }, prose(media.schema.description)) : null;
  return h("div", { class: "form" }, h("p", {}, title), said,
    below === null ? null : whenOpened(h("details", {}, h("summary", {}, "Schema")), () => [below]),
    examples.map((example) => whenOpened(h("details", {}, h("summary", {}, example.summary)), () => [codeOf(example.value)])));
}

function answers(responses) {
  const rows = Object.entries(responses).map(([status, kept]) => {
    const answer = resolve(kept);
    const details = h("details", { class: "answer" },
      h("summary", {}, h("span", { class: `status s${status[0]}` }, status), h("span", {}, prose(answer.description))));
    return whenOpened(details, () => [headers(answer.headers ?? {}), Object.entries(answer.content ?? {}).map(([type, media]) => form(type, media))]);
  });
  return h("section", {}, h("h3", {}, "Answers"), rows);
}

function headers(all) {
  const rows = Object.entries(all).flatMap(([name, header]) => [h("dt", {}, h("code", {}, name)), h("dd", {}, prose(resolve(header).description))]);
  return rows.length === 0 ? null : h("dl", { class: "fields small" }, rows);
}
