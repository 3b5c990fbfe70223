//! The formats of responses, negotiated by `Accept`.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use warp::reply::Response;

/// The format of a response.
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
    /// Chooses the format of a response (RFC 9110, section 12.5.1): the one with the highest quality among those that the
    /// client names, and the first among equals. A client that names none gets `usual`.
    pub(crate) fn accepted(headers: &HeaderMap, usual: Self) -> Self {
        let mut best: Option<(f32, Self)> = None;
        let ranges =
            headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).flat_map(|list| list.split(','));
        for range in ranges {
            let mut parts = range.split(';');
            let Some(format) = Self::named(parts.next().unwrap_or_default().trim()) else { continue };
            let quality = parts.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
            });
            let quality = quality.unwrap_or(1.0_f32);
            if quality > best.map_or(0.0, |(best, _)| best) {
                best = Some((quality, format));
            }
        }
        best.map_or(usual, |(_, format)| format)
    }

    /// Returns the media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// Says on an answer what it is, and that another client might get another format.
    pub(crate) fn set_headers(self, response: &mut Response) {
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
        names.into_iter().find(|(name, _)| media_type.eq_ignore_ascii_case(name)).map(|(_, format)| format)
    }
}

#[cfg(test)]
mod tests;
