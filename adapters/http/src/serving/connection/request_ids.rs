//! Request ids: the caller's own if it is safe to log, else a new one.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that ties a response to the log.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is accepted from a caller.
const REQUEST_ID_LEN_MAX: usize = 128;

/// Makes request ids that are unique across processes: a random part chosen at the start, and a counter.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let mut process = uuid::Uuid::new_v4().simple().to_string();
        process.truncate(16);
        Self { process, next: AtomicU64::new(1) }
    }

    /// Returns the caller's id if it is safe to echo and to log, else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        if let Some(id) = headers.get(REQUEST_ID).filter(|id| is_safe(id.as_bytes())) {
            return id.clone();
        }
        self.make()
    }

    pub(crate) fn make(&self) -> HeaderValue {
        let id = format!("{}-{:x}", self.process, self.next.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).expect("hexadecimal digits and a hyphen are fit for a header")
    }
}

fn is_safe(id: &[u8]) -> bool {
    (1..=REQUEST_ID_LEN_MAX).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;
