//! Normalises times and values that Postgres and others write into CSV. The API takes one spelling only.

use std::borrow::Cow;

/// Where the offset of a date-time can begin: behind its seconds.
const SECONDS_END: usize = "2024-01-01 00:00:00".len();

/// Converts a time to RFC 3339 if it is written as Postgres does, with a blank for the `T` and an offset such as `+00`
/// (<https://www.postgresql.org/docs/current/datatype-datetime.html>, section 8.5.2), or with an offset such as
/// `+0000`. A time without an offset stays as it is: its zone is not known.
pub(super) fn time(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if bytes.ends_with(b"Z") && bytes.get(10) == Some(&b'T') {
        return Cow::Borrowed(text);
    }
    let (Some(b' ' | b'T' | b't'), true) = (bytes.get(10), text.is_ascii() && bytes.len() > SECONDS_END) else {
        return Cow::Borrowed(text);
    };
    let (start, rest) = text.split_at(SECONDS_END);
    let sign = rest.find(['+', '-', 'Z', 'z']).unwrap_or(rest.len());
    let (fraction, offset) = rest.split_at(sign);
    let offset = match offset.len() {
        3 => format!("{offset}:00"),
        5 => format!("{}:{}", &offset[..3], &offset[3..]),
        _ => offset.to_owned(),
    };
    let (date, time) = start.split_at(10);
    Cow::Owned(format!("{date}T{}{fraction}{offset}", &time[1..]))
}

/// Adds the zero before a decimal point, which some databases leave out: `.5` is `0.5`.
pub(super) fn value(text: &str) -> Cow<'_, str> {
    match text.as_bytes() {
        [b'.', b'0'..=b'9', ..] => Cow::Owned(format!("0{text}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
