//! Media types of request bodies.

use hyper::header::{CONTENT_TYPE, HeaderMap};

use crate::exchange::request::content_encoding;
use crate::exchange::response::problem::{Problem, ProblemCode};

/// The media types of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Ndjson,
    /// A CloudEvent in structured mode (CloudEvents 1.0, JSON format).
    CloudEvent,
    /// An array of them.
    CloudEvents,
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// The media types by their names. NDJSON has no registered name; several are in use.
const NAMES: [(&str, Media); 7] = [
    (JSON, Media::Json),
    (NDJSON, Media::Ndjson),
    ("application/ndjson", Media::Ndjson),
    ("application/jsonl", Media::Ndjson),
    ("application/x-jsonlines", Media::Ndjson),
    ("application/cloudevents+json", Media::CloudEvent),
    ("application/cloudevents-batch+json", Media::CloudEvents),
];

/// Reads the media type of a body; `None` if the request states none. The only parameter with a meaning is `charset`,
/// which must be UTF-8.
pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Media>, Problem> {
    if content_encoding::of_body(headers).is_none() {
        return Err(unsupported("A body may be packed by gzip, once, and by nothing else (Content-Encoding)."));
    }
    let mut stated = headers.get_all(CONTENT_TYPE).iter();
    let Some(media) = stated.next() else { return Ok(None) };
    let media = media.to_str().ok().filter(|_| stated.next().is_none()).and_then(parse);
    media.map(Some).ok_or_else(|| unsupported(format!("The body must be {JSON} or {NDJSON}, in UTF-8.")))
}

/// Finds a media type by its name.
fn named(text: &str) -> Option<Media> {
    let text = text.trim();
    NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, media)| *media)
}

/// Refuses a body for its media type.
pub(crate) fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::UnsupportedMediaType, detail)
}

fn parse(text: &str) -> Option<Media> {
    // Nearly every client sends this spelling.
    if text == JSON {
        return Some(Media::Json);
    }
    let mut parts = text.split(';');
    let media = named(parts.next()?)?;
    let utf8 = parts.all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        !name.trim().eq_ignore_ascii_case("charset")
            || value.eq_ignore_ascii_case("utf-8")
            || value.eq_ignore_ascii_case("utf8")
    });
    utf8.then_some(media)
}

#[cfg(test)]
mod tests;
