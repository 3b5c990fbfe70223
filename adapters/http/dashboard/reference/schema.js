// Schemas, as people read them: a row for each member, opened where there is more below.

import { h } from "../base/dom.js";

const KEPT = "#/components/schemas/";

let api = null;

/** Keeps the document that references lead into. */
export function keep(document) {
  api = document;
}

/** The names of all schemas. */
export function schemaNames() {
  return Object.keys(api.components.schemas);
}

/** Follows a reference. */
export function resolve(part) {
  if (part?.$ref === undefined) return part;
  return part.$ref.split("/").slice(1).reduce((place, name) => place[name.replaceAll("~1", "/")], api);
}

/** Text in which `code` is marked. */
export function prose(text) {
  return (text ?? "").split("`").map((part, place) => (place % 2 === 1 ? h("code", {}, part) : part));
}

/** The card of a schema of its own. */
export function schemaCard(name) {
  const schema = api.components.schemas[name];
  const card = h("details", { class: "card entry", id: `schema-${name}` },
    h("summary", {}, h("code", { class: "path" }, name), h("span", { class: "quiet" }, prose(schema.description))));
  whenOpened(card, () => [tree(schema), (schema.examples ?? []).map(codeOf)]);
  return card;
}

/** Fills a `details` when it is opened first: most never are. */
export function whenOpened(details, content) {
  details.addEventListener("toggle", () => details.append(...content().flat(Infinity).filter((part) => part instanceof Node)), { once: true });
  return details;
}

/** JSON, as code. */
export function codeOf(value) {
  return h("pre", { class: "code", tabindex: "0" }, typeof value === "string" ? value : JSON.stringify(value, null, 2));
}

/** In a few words what a schema allows. */
export function typeOf(schema) {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.slice(KEPT.length);
    return [h("a", { href: `#schema-${name}` }, name)];
  }
  const several = schema.oneOf ?? schema.anyOf;
  if (several !== undefined) return several.flatMap((one, place) => [place > 0 ? " or " : "", typeOf(one)]);
  if (schema.const !== undefined) return [h("code", {}, JSON.stringify(schema.const))];
  if (schema.enum !== undefined) return schema.enum.flatMap((word, place) => [place > 0 ? ", " : "", h("code", {}, word)]);
  if (schema.type === "array") return ["list of ", typeOf(schema.items)];
  if (schema.type === undefined) return ["anything"];
  const [type, orNull] = [schema.type].flat();
  const called = { "date-time": "instant", byte: "text in Base64" }[schema.format] ?? { string: "text" }[type] ?? type;
  return [orNull === undefined ? called : `${called} or null`];
}

/** The limits of a schema, in words. */
export function limitsOf(schema) {
  const limits = [];
  if (schema.maxLength !== undefined) limits.push(`${schema.minLength ?? 0}–${schema.maxLength} characters`);
  if (schema.minimum !== undefined && schema.maximum !== undefined) limits.push(`${schema.minimum}–${schema.maximum}`);
  else if (schema.minimum > 0) limits.push(`at least ${schema.minimum}`);
  if (schema.maxItems !== undefined) limits.push(`at most ${schema.maxItems} entries`);
  if (schema.default !== undefined) limits.push(`by default ${schema.default}`);
  return limits.join("; ");
}

/** What is below a schema: null where there is nothing. */
export function tree(schema) {
  const own = resolve(schema);
  if (own.type === "array") return tree(own.items);
  const several = (own.oneOf ?? own.anyOf ?? []).filter((one) => deep(one));
  if (several.length > 0) return h("ul", { class: "tree" }, several.map((one) => row(typeOf(one), null, one)));
  const members = Object.entries(own.properties ?? {});
  if (members.length === 0) return own.additionalProperties?.type === undefined ? null : h("p", { class: "small" }, "Names, each with: ", typeOf(own.additionalProperties));
  return h("ul", { class: "tree" }, members.map(([name, member]) => row(h("code", {}, name), (own.required ?? []).includes(name), member)));
}

function deep(schema) {
  const own = resolve(schema);
  if (own.type === "array") return deep(own.items);
  return own.properties !== undefined || (own.oneOf ?? own.anyOf ?? []).some(deep) || own.additionalProperties?.type !== undefined;
}

function row(name, required, schema) {
  const limits = limitsOf(schema);
  const line = [h("span", { class: "member" }, name),
    required === null ? null : h("span", { class: "type" }, typeOf(schema)),
    required === false ? h("span", { class: "quiet small" }, "optional") : null,
    limits === "" ? null : h("span", { class: "quiet small" }, limits),
    h("span", { class: "said" }, prose(schema.description ?? (required === null ? resolve(schema).description : "")))];
  if (!deep(schema)) return h("li", { class: "leaf" }, line);
  return h("li", {}, whenOpened(h("details", {}, h("summary", {}, line)), () => [tree(schema)]));
}
