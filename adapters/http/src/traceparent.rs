//! The `traceparent` header (W3C Trace Context, section 3.2), handed on with the messages of the records that came with
//! it.

use hyper::header::HeaderMap;

/// Longest value that is handed on: later versions may append to the 55 characters of version 00.
const LEN_MAX: usize = 255;

/// Returns the trace context of a request, where it has exactly one that is valid; else it is as if there were none.
pub(crate) fn of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_valid(value)).then(|| value.to_owned())
}

/// Returns the id of the trace that a valid context belongs to: the one thing that logs need of it.
pub(crate) fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

fn is_valid(value: &str) -> bool {
    let (version, rest) = value.split_at_checked(2).unwrap_or_default();
    let mut parts = rest.strip_prefix('-').unwrap_or_default().splitn(4, '-');
    let (trace, parent, flags) = (parts.next(), parts.next(), parts.next());
    let more = parts.next();
    hex(Some(version), 2)
        && version != "ff"
        && hex(trace, 32)
        && trace.is_some_and(|id| id.bytes().any(|b| b != b'0'))
        && hex(parent, 16)
        && parent.is_some_and(|id| id.bytes().any(|b| b != b'0'))
        && hex(flags, 2)
        && (more.is_none() || version != "00")
        && value.len() <= LEN_MAX
        && value.bytes().all(|b| b.is_ascii_graphic())
}

fn hex(part: Option<&str>, len: usize) -> bool {
    part.is_some_and(|part| part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests;
