//! Sets the security headers of every response.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Browsers must not guess another `Content-Type` (Fetch Standard, section 3.6), nor send a `Referer` to linked pages.
const ALWAYS: [(&str, &str); 2] = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")];

/// No cache may store a response. A browser that shows a response as a page may load, run or frame nothing (Content
/// Security Policy Level 3). Endpoints may set other values.
const UNLESS_SET: [(&str, &str); 2] =
    [("cache-control", "no-store"), ("content-security-policy", "default-src 'none'; frame-ancestors 'none'")];

/// After one response over HTTPS, a browser refuses clear text for a year (RFC 6797).
const BEHIND_TLS: (&str, &str) = ("strict-transport-security", "max-age=31536000");

/// Sets the headers on a response.
pub(crate) fn set(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in ALWAYS.into_iter().chain(secure.then_some(BEHIND_TLS)) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in UNLESS_SET {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
}

/// Returns the headers as text, for a response that is written by hand.
pub(crate) fn all(secure: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    ALWAYS.into_iter().chain(UNLESS_SET).chain(secure.then_some(BEHIND_TLS))
}
