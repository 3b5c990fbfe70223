// Calls of the service: with the key where there is one, and with each refusal as what it is.

import { emit } from "./bus.js";

const KEY = "tallyhouse.key";

/** Milliseconds since the epoch before which nothing that can wait is asked: the service said so by `Retry-After`. */
let quietUntil = 0;

/** The service refused a call, and said why. */
export class Refusal extends Error {
  constructor(response, problem) {
    super(problem.detail ?? problem.title ?? `The service answered ${response.status}.`);
    this.status = response.status;
    this.title = problem.title ?? `Status ${response.status}`;
    this.problem = problem;
    /** In how many seconds to ask again; 0 where it does not say. */
    this.retryAfter = Number(response.headers.get("retry-after")) || 0;
    this.requestId = response.headers.get("x-request-id");
  }
}

/** No answer came. */
export class Away extends Error {
  constructor() {
    super("The service does not answer.");
    this.title = "No answer";
    this.status = 0;
    this.retryAfter = 0;
  }
}

/** The key that was given in this tab, or null. */
export function key() {
  return sessionStorage.getItem(KEY);
}

/** Keeps a key until the tab is closed. */
export function useKey(text) {
  sessionStorage.setItem(KEY, text);
  emit("key");
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
  emit("key");
}

/** How long to be quiet yet, in milliseconds. */
export function quiet() {
  return Math.max(0, quietUntil - Date.now());
}

/** Returns where the service is, without a slash at the end. */
export function root() {
  return new URL(".", location.href).href.slice(0, -1);
}

/** Makes a path of the service relative to the page, which may be served under any path of a proxy. */
export function relative(path) {
  return path.replace(/^\//, "");
}

/** Calls the service, and returns the response if it is a success. Throws `Refusal` or `Away`; an aborted call throws `AbortError`. */
export async function call(path, { method = "GET", headers = {}, body, signal } = {}) {
  const used = key();
  const withKey = used === null ? {} : { Authorization: `Bearer ${used}` };
  let response;
  try {
    response = await fetch(relative(path), { method, headers: { ...withKey, ...headers }, body, signal, cache: "no-cache" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    emit("away");
    throw new Away();
  }
  if (response.ok) return response;
  const refusal = new Refusal(response, await problemOf(response));
  // What was asked with an earlier key says nothing of this one.
  if (refusal.status === 401 && used === key()) emit("unauthorized", { hadKey: used !== null });
  if (refusal.status === 429) {
    quietUntil = Math.max(quietUntil, Date.now() + Math.max(1, refusal.retryAfter) * 1000);
    emit("limited", { until: quietUntil });
  }
  throw refusal;
}

/** Calls the service and reads its JSON. */
export async function read(path, options) {
  return (await page(path, options)).body;
}

/** Reads one page: its JSON, and where the next one is, or null. */
export async function page(path, options) {
  const response = await call(path, options);
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // The service breaks an answer off where it can't be finished.
    throw new Away();
  }
  const next = /<([^>]*)>; *rel="next"/.exec(response.headers.get("link") ?? "");
  // The link is relative to the address of the call.
  return { body, next: next === null ? null : path.split("?")[0] + next[1] };
}

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}
