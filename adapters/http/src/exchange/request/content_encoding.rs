//! Parses `Content-Encoding`.

use hyper::header::{CONTENT_ENCODING, HeaderMap};

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

/// Reads how a body is packed; `None` where it is packed in a way that is not known here, or more than once. An empty
/// `Content-Encoding` means none. `x-gzip` is `gzip` (RFC 9110, section 8.4.1.3).
pub(crate) fn of_body(headers: &HeaderMap) -> Option<Encoding> {
    let mut found = Encoding::Identity;
    for list in headers.get_all(CONTENT_ENCODING) {
        for coding in list.to_str().ok()?.split(',').map(str::trim) {
            if coding.is_empty() || coding.eq_ignore_ascii_case("identity") {
                continue;
            }
            let is_gzip = coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip");
            if !is_gzip || found == Encoding::Gzip {
                return None;
            }
            found = Encoding::Gzip;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests;
