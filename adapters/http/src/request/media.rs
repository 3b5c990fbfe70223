//! Media types: what a body is said to be.

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use crate::answer::problem::{Problem, ProblemCode};

/// The bodies that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Ndjson,
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

/// Reads what a body is said to be; `None` where nothing is said. The only parameter with a meaning is `charset`, which
/// must be UTF-8.
pub(crate) fn of_body(headers: &HeaderMap) -> Result<Option<Media>, Problem> {
    let encoded =
        headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(unsupported("A body must not be compressed (Content-Encoding)."));
    }
    let mut stated = headers.get_all(CONTENT_TYPE).iter();
    let Some(media) = stated.next() else { return Ok(None) };
    let media = media.to_str().ok().filter(|_| stated.next().is_none()).and_then(parse);
    media.map(Some).ok_or_else(|| unsupported(format!("The body must be {JSON} or {NDJSON}, in UTF-8.")))
}

/// Refuses a body for what it is.
pub(crate) fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::UnsupportedMediaType, detail)
}

fn parse(text: &str) -> Option<Media> {
    // What nearly every client sends.
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

fn named(text: &str) -> Option<Media> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(JSON) {
        Some(Media::Json)
    } else if text.eq_ignore_ascii_case(NDJSON) {
        Some(Media::Ndjson)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
