// Server-sent events by `fetch`, because `EventSource` can send no key (HTML Standard, section 9.2).

/** Takes a stream apart: feed it text as it comes, and it calls `event(id, data)` for each whole event. */
export class EventParser {
  #rest = "";
  #data = [];
  #id = null;

  constructor(event) {
    this.event = event;
  }

  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  #line(line) {
    if (line === "") {
      if (this.#data.length > 0) this.event(this.#id, this.#data.join("\n"));
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    // A line that begins with a colon is a comment, with which the service shows that it is there.
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    if (name === "id") this.#id = value;
  }
}

/** Reads a response to its end, or until aborted. */
export async function readEvents(response, event) {
  const parser = new EventParser(event);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(value);
  }
}
