//! Spans of HTTP requests.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status};
use opentelemetry_sdk::trace::Span;
use tallyhouse_http::{RequestHead, RequestSpan, RequestTracer};

use super::contexts::{parse, write};
use super::tracer::Traces;

/// The traced routes: the API. Span names need low cardinality (OpenTelemetry), so that they hold a route, not a path.
const ROUTES: [&str; 9] = [
    "/v1/records/batch",
    "/v1/records",
    "/v1/aggregates",
    "/v1/export",
    "/v1/summaries",
    "/v1/notifications",
    "/v1/alerts",
    "/v1/dead-letters",
    "/v1/alert-rules",
];

/// The known methods. The semantic conventions name all others `_OTHER`.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];

/// Makes the spans of requests.
#[derive(Debug)]
pub(super) struct Requests(pub(super) Traces);

#[derive(Debug)]
struct ActiveRequest {
    span: Span,
    /// The context of the request's records: the caller's, else the span's.
    traceparent: String,
    traces: Traces,
}

impl RequestTracer for Requests {
    fn begin(&self, request: &RequestHead<'_>) -> Option<Box<dyn RequestSpan>> {
        let route = route(request.path)?;
        let theirs = request.traceparent.and_then(parse);
        // The caller decided against a trace: do no work.
        if theirs.as_ref().is_some_and(|theirs| !theirs.is_sampled()) {
            return None;
        }
        let method = METHODS.into_iter().find(|method| *method == request.method.as_str()).unwrap_or("_OTHER");
        let span = SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", request.path.to_owned()),
            KeyValue::new("tallyhouse.request_id", request.request_id.to_owned()),
        ]);
        let span = self.0.begin(span, theirs);
        let context = span.span_context().clone();
        if !context.is_sampled() {
            return None;
        }
        let traceparent = request.traceparent.map_or_else(|| write(&context), str::to_owned);
        self.0.span_opened(&traceparent, &context);
        Some(Box::new(ActiveRequest { span, traceparent, traces: self.0.clone() }))
    }
}

impl RequestSpan for ActiveRequest {
    fn traceparent(&self) -> Option<&str> {
        Some(&self.traceparent)
    }

    fn answered(&mut self, status: u16) {
        self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        // By the semantic conventions, 4xx is no error of the server.
        if status >= 500 {
            self.span.set_status(Status::error(String::new()));
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.traces.span_closed(&self.traceparent);
    }
}

/// Returns the route of a path.
fn route(path: &str) -> Option<&'static str> {
    let is_of = |route: &&str| {
        let rest = path.strip_prefix(*route);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ROUTES.into_iter().find(is_of)
}

#[cfg(test)]
mod tests;
