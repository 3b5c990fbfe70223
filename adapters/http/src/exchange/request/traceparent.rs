//! The `traceparent` header (W3C Trace Context, section 3.2). The messages of a request's records hand it on.

use hyper::header::HeaderMap;
use tallyhouse_pipeline::is_traceparent;

/// Returns the trace context of a request. An invalid or repeated header counts as none.
pub(crate) fn of(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_traceparent(value)).then(|| value.to_owned())
}

/// Returns the trace id of a valid context, for the log.
pub(crate) fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.split('-').nth(1)
}

#[cfg(test)]
mod tests;
