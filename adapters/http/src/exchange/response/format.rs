//! The formats of responses, negotiated by `Accept`.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use warp::reply::Response;

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
    /// A row of column names, then rows.
    Csv,
}

impl Format {
    /// Chooses the format of a response (RFC 9110, section 12.5.1): the format with the highest quality among those
    /// that the client names, and the first among equals. A client that names no format gets `usual`.
    pub(crate) fn accepted(headers: &HeaderMap, usual: Self) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for (media_type, quality) in accepted_types(headers) {
            let Some(format) = Self::named(media_type) else { continue };
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

    /// Sets `Content-Type`, and `Vary` because another client might get another format.
    pub(crate) fn set_headers(self, response: &mut Response) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type()));
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    }

    fn named(media_type: &str) -> Option<Self> {
        // NDJSON has no registered media type; several are in use.
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

/// Returns the media types that a client names, with their qualities.
fn accepted_types(headers: &HeaderMap) -> impl Iterator<Item = (&str, f32)> {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(|range| {
        let mut parts = range.split(';');
        let media_type = parts.next().unwrap_or_default().trim();
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
        });
        (media_type, quality.unwrap_or(1.0_f32))
    })
}

/// Says whether a client wants an HTML page: it names HTML, and no JSON of a higher quality.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let best = |wanted: fn(&str) -> bool| {
        accepted_types(headers).filter(|(name, _)| wanted(name)).map(|(_, quality)| quality).fold(0.0, f32::max)
    };
    let html = best(|name| name.eq_ignore_ascii_case("text/html"));
    html > 0.0 && html >= best(|name| name.to_ascii_lowercase().ends_with("json"))
}

#[cfg(test)]
mod tests;
