// Makes elements. Text stays text: nothing here, nor anywhere else, turns a string into markup.

/** Makes an element. `on…` attributes are listeners; those that are null, undefined or false are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/** Puts children in the place of those that an element has. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  sun: "M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.7 1.4-1.4M4.9 19.1l1.4-1.4m0-11.4L4.9 4.9m14.2 14.2-1.4-1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 0v18m0-14 5-1.5M12 12h9m-9 5 5 1.5",
  key: "M14.5 9.5a5 5 0 1 1-4-4.9 5 5 0 0 1 4 4.9Zm-1 3.5 7 7m-3-3 2-2",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  close: "M6 6l12 12M18 6 6 18",
  pause: "M9 5v14M15 5v14",
  play: "M7 4.5v15l12-7.5z",
  refresh: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  bell: "M6 9a6 6 0 1 1 12 0c0 6 2.5 7 2.5 7h-17S6 15 6 9Zm4 10.5a2 2 0 0 0 4 0",
  bolt: "M13 2 4 14h7l-1 8 9-12h-7z",
  day: "M5 5h14v15H5zM5 10h14M9 3v4m6-4v4",
  down: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  search: "M17 11a6 6 0 1 1-12 0 6 6 0 0 1 12 0Zm-1.8 4.2L20 20",
};

/** Makes one of the icons. They say nothing by themselves: what they stand for is always named beside them. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const attributes = { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" };
  for (const [attribute, value] of Object.entries(attributes)) svg.setAttribute(attribute, value);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Announces a text to screen readers. Few announcements are heard, many are not. */
export function say(text) {
  document.getElementById("spoken").textContent = text;
}
