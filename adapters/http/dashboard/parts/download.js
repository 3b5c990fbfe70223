// Downloads what a view shows as a CSV file. A link would not do: the call needs `Accept`, and perhaps a key.

import { Away, call } from "../base/api.js";
import { fill, h, icon, say } from "../base/dom.js";
import { failure } from "./notice.js";

/** A button that downloads the answer of a call, and what went wrong beside it. */
export function csvButton(name, path) {
  const label = [icon("down"), "CSV"];
  const button = h("button", { type: "button", class: "button small", "aria-label": `Download ${name} as CSV` }, label);
  const result = h("div", { class: "download-result", role: "status" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    fill(button, icon("down"), "Downloading …");
    fill(result);
    try {
      save(`${name}.csv`, await whole(path));
      say(`${name}.csv is downloaded`);
    } catch (error) {
      fill(result, failure(error, () => button.click()));
    } finally {
      button.disabled = false;
      fill(button, label);
    }
  });
  return [button, result];
}

async function whole(path) {
  const response = await call(path, { headers: { Accept: "text/csv" } });
  try {
    return await response.blob();
  } catch {
    // The service breaks an answer off where it can't be finished: half a file is none.
    throw new Away();
  }
}

function save(name, content) {
  const url = URL.createObjectURL(content);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(url);
}
