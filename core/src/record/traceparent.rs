//! Checks a `traceparent` (W3C Trace Context, section 3.2).

/// Longest value that is handed on, in bytes: later versions may append to the 55 of version 00.
const LEN_MAX: usize = 255;

/// Says whether a text is a valid `traceparent`. An ingress ignores an invalid one.
#[must_use]
pub fn is_traceparent(value: &str) -> bool {
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
