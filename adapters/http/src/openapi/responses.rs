//! The responses: their descriptions, formats and headers.

use super::model::{Header, Media, NamedExample, Ordered, Reference, Response, Schema, example};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const CSV: &str = "text/csv";

/// Begins a response.
pub(super) fn response(description: &str) -> Response {
    let answer =
        Response { description: description.to_owned(), headers: Ordered::default(), content: Ordered::default() };
    answer.with_header("X-Request-Id")
}

/// A response with this JSON document.
pub(super) fn json(description: &str, schema: &str) -> Response {
    response(description).with_content(JSON, media(Schema::reference_to(schema)))
}

/// A response of a rate-rate_limited call.
pub(super) fn rate_limited(answer: Response) -> Response {
    answer.with_header("RateLimit").with_header("RateLimit-Policy")
}

/// A body of this schema.
pub(super) fn media(schema: Schema) -> Media {
    Media { schema, line: None, examples: Ordered::default() }
}

/// A body of lines, each of this schema.
pub(super) fn lines(line: &str) -> Media {
    let description =
        format!("Lines, each of which is a `{line}` and ends in a line feed. JSON Schema can't describe such a text.");
    Media {
        schema: Schema::text().description(description),
        line: Some(Schema::reference_to(line)),
        examples: Ordered::default(),
    }
}

impl Response {
    pub(super) fn with_content(mut self, media_type: &str, media: Media) -> Self {
        self.content.push(media_type, media);
        self
    }

    /// Adds a header by the name of its component.
    pub(super) fn with_header(mut self, name: &str) -> Self {
        self.headers.push(name, Reference { to: format!("#/components/headers/{name}") });
        self
    }

    /// Offers the same content as lines, each of this schema.
    pub(super) fn or_ndjson(self, line: &str) -> Self {
        self.with_content(NDJSON, lines(line))
    }

    /// Offers the same content as rows of CSV.
    pub(super) fn or_csv(self, columns: &[&str]) -> Self {
        let description = format!("RFC 4180; the first row names the columns: {}.", columns.join(", "));
        self.with_content(CSV, media(Schema::text().description(description))).with_header("Vary")
    }

    /// A client may cache the response, and revalidate it.
    pub(super) fn with_etag(self) -> Self {
        self.with_header("ETag").with_header("Cache-Control")
    }

    /// There may be a next page.
    pub(super) fn with_next_link(self) -> Self {
        self.with_header("Link")
    }

    /// Adds an example to the media type that was added last.
    pub(super) fn with_example(mut self, json: &str) -> Self {
        if let Some((_, media)) = self.content.0.last_mut() {
            media.add_example("example", "An example", json);
        }
        self
    }
}

impl Media {
    pub(super) fn add_example(&mut self, name: &str, summary: &str, json: &str) {
        self.examples.push(name, NamedExample { summary: summary.to_owned(), value: example(json) });
    }

    pub(super) fn with_example(mut self, name: &str, summary: &str, json: &str) -> Self {
        self.add_example(name, summary, json);
        self
    }
}

/// The headers of responses, by the names of their components.
pub(super) fn headers() -> Ordered<Header> {
    let text = |pattern: &str| Schema::text().pattern(pattern);
    let optional = |description, schema| Header { description, required: false, schema };
    let required = |description, schema| Header { description, required: true, schema };
    let headers = [
        (
            "X-Request-Id",
            required(
                "The request's own, where it is safe to log; else a new one. Name it when you report a fault.",
                text("^[A-Za-z0-9._-]{1,128}$"),
            ),
        ),
        (
            "Link",
            optional(
                "Where there is more: `<?…>; rel=\"next\"`, relative to the address of the call.",
                text("^<.*>; rel=\"next\"$"),
            ),
        ),
        ("Vary", required("Another `Accept` may get another form.", Schema::constant("accept"))),
        ("Retry-After", required("In how many seconds to try again.", Schema::integer(1))),
        ("Idempotent-Replayed", optional("`true`: this was done before.", Schema::constant("true"))),
        ("WWW-Authenticate", required("The scheme of keys.", Schema::constant("Bearer"))),
        ("ETag", optional("The version, for `If-Match` or `If-None-Match`.", text("^(W/)?\"[^\"]*\"$"))),
        ("RateLimit", optional("Where there is a rate limit: what is left.", text("^\"default\";r=[0-9]+;t=[0-9]+$"))),
        (
            "RateLimit-Policy",
            optional("Where there is a rate limit: what there is.", text("^\"default\";q=[0-9]+;w=[0-9]+$")),
        ),
        ("Cache-Control", optional("A copy may be kept, and is asked about each time.", Schema::text())),
    ];
    Ordered(headers.into_iter().map(|(name, header)| (name.to_owned(), header)).collect())
}
