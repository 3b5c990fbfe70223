// How numbers and times are written. A decimal is a text from the service to the eye: it never goes through a float.

import { h } from "./dom.js";

/** The one minus sign of the page: as wide as a plus sign, and never broken from its number. */
const MINUS = "\u2212";

/** Writes a plain decimal, or a count, with its thousands apart: `-1234567.50` becomes `−1,234,567.50`. */
export function grouped(decimal) {
  const [whole, fraction] = String(decimal).replace("-", MINUS).split(".");
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

/** An instant as the service writes it. */
const INSTANT = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2}(?:\.\d+)?)Z$/;

/** Shows an instant of the service in UTC, with the local time as its title. `short` leaves out the day and the fraction, `whole` the
 * fraction. Anything else, such as another program writes, is shown as it is. */
export function instant(text, { short = false, whole = false } = {}) {
  if (!text) return h("span", { class: "quiet" }, "–");
  const parts = INSTANT.exec(text);
  if (parts === null) return h("span", {}, text);
  const [, day, time] = parts;
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
  const sign = record.type === "negative" ? MINUS : "+";
  return h("span", { class: "amount" },
    h("span", { class: "figure" }, `${sign}${grouped(record.value)}`), " ", h("span", { class: "unit" }, record.unit));
}

/** Shows a reference; the empty one has a word of its own. */
export function reference(text) {
  return text === "" ? h("span", { class: "quiet" }, "(empty)") : text;
}

/** Writes how long something took, in its two largest units: `3 h 12 min`. */
export function duration(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  let left = Math.floor(seconds);
  const parts = units.slice(first, first + 2).map(([name, size]) => {
    const count = Math.floor(left / size);
    left %= size;
    return count > 0 ? `${count} ${name}` : "";
  });
  return parts.filter((part) => part !== "").join(" ");
}
