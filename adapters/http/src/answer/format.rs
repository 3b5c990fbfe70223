//! The forms of an answer: what it is written in, chosen by what the client takes.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use warp::reply::Response;

/// What an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One document.
    Json,
    /// A document a line.
    Ndjson,
    /// A row of names, then rows.
    Csv,
}

impl Format {
    /// Chooses what to answer with (RFC 9110, section 12.5.1): of the forms that the client names, the one that it
    /// prefers, and of those that it likes as well the first. A client that names none gets `usual`.
    pub(crate) fn accepted(headers: &HeaderMap, usual: Self) -> Self {
        let mut best: Option<(f32, Self)> = None;
        let ranges =
            headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).flat_map(|list| list.split(','));
        for range in ranges {
            let mut parts = range.split(';');
            let Some(form) = Self::named(parts.next().unwrap_or_default().trim()) else { continue };
            let quality = parts.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
            });
            let quality = quality.unwrap_or(1.0_f32);
            if quality > best.map_or(0.0, |(best, _)| best) {
                best = Some((quality, form));
            }
        }
        best.map_or(usual, |(_, form)| form)
    }

    /// Returns the media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// Says on an answer what it is, and that another client might get another form.
    pub(crate) fn dress(self, response: &mut Response) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type()));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    }

    fn named(media_type: &str) -> Option<Self> {
        // NDJSON has no registered media type, and goes by several.
        let names = [
            ("application/json", Self::Json),
            ("application/x-ndjson", Self::Ndjson),
            ("application/ndjson", Self::Ndjson),
            ("application/jsonl", Self::Ndjson),
            ("application/x-jsonlines", Self::Ndjson),
            ("text/csv", Self::Csv),
        ];
        names.into_iter().find(|(name, _)| media_type.eq_ignore_ascii_case(name)).map(|(_, form)| form)
    }
}

#[cfg(test)]
mod tests;
