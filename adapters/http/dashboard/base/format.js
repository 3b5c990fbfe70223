// How numbers and times are written. A decimal is a text from the service to the eye: it never goes through a float.

import { h } from "./dom.js";

/** Writes a plain decimal, or a count, with its thousands apart: `-1234567.50` becomes `-1,234,567.50`. */
export function grouped(decimal) {
  const [whole, fraction] = String(decimal).split(".");
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? apart : `${apart}.${fraction}`;
}

/** Compares two plain decimals exactly, whatever their size and scale. */
export function compareDecimals(a, b) {
  const scale = Math.max(...[a, b].map((decimal) => (decimal.split(".")[1] ?? "").length));
  const [left, right] = [a, b].map((decimal) => unscaled(decimal, scale));
  return left < right ? -1 : left > right ? 1 : 0;
}

function unscaled(decimal, scale) {
  const [whole, fraction = ""] = decimal.replace("-", "").split(".");
  const digits = BigInt(whole + fraction.padEnd(scale, "0"));
  return decimal.startsWith("-") ? -digits : digits;
}

/** Writes "1 record", "2 records". */
export function counted(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Writes a rate: what is below ten with one decimal place. */
export function rate(perSecond) {
  return perSecond > 0 && perSecond < 9.95 ? perSecond.toFixed(1) : grouped(Math.round(perSecond));
}

/** Shows an instant of the service in UTC, with the local time as its title. `short` leaves out the day and the fraction, `whole` the fraction. */
export function instant(text, { short = false, whole = false } = {}) {
  if (!text) return h("span", { class: "quiet" }, "–");
  // What no service wrote is shown as it is: one text must not hide the rest of a page.
  if (Number.isNaN(Date.parse(text)) || !text.includes("T")) return h("span", { class: "quiet" }, text);
  const [day, time] = text.replace("Z", "").split("T");
  const second = time.split(".")[0];
  const shown = short ? `${second}Z` : `${day} ${whole ? second : time}Z`;
  return h("time", { datetime: text, title: `${short ? `${day}, ` : ""}yours: ${local(text)}` }, shown);
}

function local(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
}

/** Writes the time of day, in UTC. */
export function clock(ms) {
  return `${new Date(ms).toISOString().slice(11, 19)}Z`;
}

/** Shows a record's value with its sign and unit. */
export function amount(record) {
  const sign = record.type === "negative" ? "−" : "+";
  return h("span", { class: `amount ${record.type === "negative" ? "negative" : "positive"}` },
    h("span", { class: "figure" }, `${sign}${grouped(record.value)}`), " ", h("span", { class: "unit" }, record.unit));
}

/** Shows a reference; the empty one has a word of its own. */
export function reference(text) {
  return text === "" ? h("span", { class: "quiet" }, "(empty)") : text;
}
