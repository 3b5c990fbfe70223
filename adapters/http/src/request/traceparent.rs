//! The `traceparent` header (W3C Trace Context, section 3.2), handed on with the messages of the records that came with
//! it.

use hyper::header::HeaderMap;
use tallyhouse_pipeline::is_traceparent;

/// Returns the trace context of a request, where it has exactly one that is valid; else it is as if there were none.
pub(crate) fn of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_traceparent(value)).then(|| value.to_owned())
}

/// Returns the id of the trace that a valid context belongs to: the one thing that logs need of it.
pub(crate) fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

#[cfg(test)]
mod tests;
