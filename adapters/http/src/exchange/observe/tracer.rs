//! Trace spans of requests. The host provides the tracer.

use std::fmt;

use hyper::Method;

/// Makes a span of each request that is to be traced.
pub trait RequestTracer: fmt::Debug + Send + Sync {
    /// Begins the span of a request; `None` where it is not traced. Called on the hot path: it must not wait.
    fn begin(&self, request: &RequestHead<'_>) -> Option<Box<dyn RequestSpan>>;
}

/// The span of one request. It ends when it is dropped: with the last byte of the answer, or when the client is gone.
pub trait RequestSpan: fmt::Debug + Send + Sync {
    /// Returns the trace context that records are given whose request brought none.
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
