// How the parts of the page hear of one another.

const bus = new EventTarget();

/** Tells all that listen. */
export function emit(name, detail) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Listens until the signal says that it is over. */
export function on(name, listener, signal) {
  bus.addEventListener(name, (event) => listener(event.detail), { signal });
}
