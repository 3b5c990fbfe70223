//! The access log: one line for each request, if the log is on.

use hyper::{Method, Request};
use tokio::time::Instant;
use tracing::Level;

use crate::exchange::context::RequestContext;

/// The log target, which the setting `log.requests` switches on.
const TARGET: &str = "tallyhouse_http::requests";

/// The line of a request in flight.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    path: String,
    began: Instant,
}

impl Line {
    /// Begins a line; `None` if the access log is off, so that it costs nothing.
    pub(crate) fn begin<B>(request: &Request<B>) -> Option<Self> {
        tracing::enabled!(target: TARGET, Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            began: Instant::now(),
        })
    }

    /// Writes the line, once the head of the response is known.
    pub(crate) fn end(self, context: &RequestContext, status: u16) {
        let (request_id, trace_id, peer) = (context.request_id(), context.trace_id(), context.connection.peer);
        let Self { method, path, began } = self;
        // As a number: the log writes a u128 as a string.
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(target: TARGET, request_id, trace_id, %peer, %method, path, status, ms, "answered");
    }
}
