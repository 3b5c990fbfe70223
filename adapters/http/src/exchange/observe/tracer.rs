//! Trace spans of requests. The host provides the tracer.

use std::fmt;

use hyper::Method;

/// Makes a span of each traced request.
pub trait RequestTracer: fmt::Debug + Send + Sync {
    /// Begins the span of a request; `None` if it is not traced. Called on the hot path: it must not block.
    fn begin(&self, request: &RequestHead<'_>) -> Option<Box<dyn RequestSpan>>;
}

/// The span of one request. Dropping it ends the span: after the last byte of the response, or when the client has
/// gone.
pub trait RequestSpan: fmt::Debug + Send + Sync {
    /// Returns the trace context for records whose request brought none.
    fn traceparent(&self) -> Option<&str>;

    /// Records the status of the response.
    fn answered(&mut self, status: u16);
}

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The W3C trace context of the request, if it has a valid one.
    pub traceparent: Option<&'a str>,
    /// The request id, which ties the span to the log.
    pub request_id: &'a str,
}
