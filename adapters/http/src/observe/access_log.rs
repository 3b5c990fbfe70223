//! One line in the log for each request, where that is asked for.

use hyper::{Method, Request};
use tokio::time::Instant;
use tracing::Level;

use crate::context::RequestContext;

/// What the lines are known by in a filter of the log: the setting `log.requests` switches on these alone.
const TARGET: &str = "tallyhouse_http::requests";

/// A request whose line is to be written.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    path: String,
    began: Instant,
}

impl Line {
    /// Keeps what the line will say; `None` where nobody wants it, so that it costs nothing.
    pub(crate) fn begin<B>(request: &Request<B>) -> Option<Self> {
        tracing::enabled!(target: TARGET, Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            began: Instant::now(),
        })
    }

    /// Writes the line, when the head of the answer is known.
    pub(crate) fn end(self, context: &RequestContext, status: u16) {
        let (request_id, trace_id, peer) = (context.request_id(), context.trace_id(), context.connection.peer);
        let Self { method, path, began } = self;
        let ms = began.elapsed().as_millis();
        tracing::debug!(target: TARGET, request_id, trace_id, %peer, %method, path, status, ms, "answered");
    }
}
