//! The headers that every answer bears, whatever it is: against what browsers and caches might make of it by
//! themselves.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// An answer is what its `Content-Type` says and nothing else (Fetch Standard, section 3.6), and no page that is led to
/// from here learns of where.
const ALWAYS: [(&str, &str); 2] = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")];

/// No cache keeps what was meant for one caller, and a browser that shows an answer as a page runs and frames nothing
/// of it (Content Security Policy Level 3). Routes that know better set their own.
const UNLESS_SET: [(&str, &str); 2] =
    [("cache-control", "no-store"), ("content-security-policy", "default-src 'none'; frame-ancestors 'none'")];

/// A browser that was here by HTTPS once does not come in clear text for a year (RFC 6797).
const BEHIND_TLS: (&str, &str) = ("strict-transport-security", "max-age=31536000");

/// Sets them on an answer.
pub(crate) fn dress(headers: &mut HeaderMap, secure: bool) {
    for (name, value) in ALWAYS.into_iter().chain(secure.then_some(BEHIND_TLS)) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for (name, value) in UNLESS_SET {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
}

/// Returns them for an answer that is written by hand.
pub(crate) fn all(secure: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    ALWAYS.into_iter().chain(UNLESS_SET).chain(secure.then_some(BEHIND_TLS))
}
