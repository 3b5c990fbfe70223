//! Parses `Content-Encoding`.

use hyper::header::{CONTENT_ENCODING, HeaderMap};

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

/// Reads the encoding of a body; `None` if it is unknown, or if there are several. An empty `Content-Encoding` means an
/// unpacked body. `x-gzip` is `gzip` (RFC 9110, section 8.4.1.3).
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
