//! Where requests become spans of a trace: the host brings what makes them, or nothing does.

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

    /// Notes how the request is answered.
    fn answered(&mut self, status: u16);
}

/// What is known of a request before it is answered.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, as it was sent.
    pub path: &'a str,
    /// The W3C trace context that it brought, if that is valid.
    pub traceparent: Option<&'a str>,
    /// What ties it to the log.
    pub request_id: &'a str,
}
