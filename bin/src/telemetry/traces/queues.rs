//! Decorators of the source and the emitter, with a span for each payload and each publication.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status};
use opentelemetry_sdk::trace::Span;
use tallyhouse_pipeline::Message;
use tallyhouse_pipeline::ports::{Acknowledgement, Delivery, Disposition, MessageEmitter, PortError, RecordSource};

use super::contexts::{CONTEXTS_MAX, parse};
use super::tracer::{Traces, number};

/// An emitter with a span for each publication.
pub(super) struct TracedEmitter {
    pub(super) emitter: Arc<dyn MessageEmitter>,
    pub(super) traces: Traces,
}

#[async_trait]
impl MessageEmitter for TracedEmitter {
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
        let spans = self.traces.publish(messages.iter().map(Message::traceparent));
        let result = self.emitter.emit(messages).await;
        if spans.is_empty() {
            return result;
        }
        if result.is_ok() {
            self.traces.published(&spans);
        }
        let attributes = [
            KeyValue::new("messaging.operation.type", "send"),
            number("messaging.batch.message_count", messages.len()),
        ];
        spans.end(&attributes, result.as_ref().err().map(ToString::to_string));
        result
    }

    fn name(&self) -> Option<String> {
        self.emitter.name()
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.emitter.ping().await
    }
}

/// A source of one consumer with a span for each payload, from its receipt to its acknowledgement.
pub(super) struct TracedSource {
    source: Arc<dyn RecordSource>,
    traces: Traces,
    /// The spans of unacknowledged payloads, by tag.
    in_flight: Mutex<HashMap<String, PayloadSpan>>,
}

/// The span of an unacknowledged payload.
struct PayloadSpan {
    traceparent: String,
    span: Span,
    traces: Traces,
}

impl Drop for PayloadSpan {
    fn drop(&mut self) {
        self.traces.span_closed(&self.traceparent);
    }
}

impl TracedSource {
    pub(super) fn new(source: Arc<dyn RecordSource>, traces: Traces) -> Self {
        Self { source, traces, in_flight: Mutex::default() }
    }

    /// Begins the span of a payload.
    fn begin(&self, traceparent: &str) -> Option<PayloadSpan> {
        let theirs = parse(traceparent).filter(SpanContext::is_sampled)?;
        let name = format!("process {}", self.source.name());
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Consumer).with_attributes([
            KeyValue::new("messaging.system", "redis"),
            KeyValue::new("messaging.operation.type", "process"),
        ]);
        let span = self.traces.begin(span, Some(theirs));
        self.traces.span_opened(traceparent, span.span_context());
        Some(PayloadSpan { traceparent: traceparent.to_owned(), span, traces: self.traces.clone() })
    }
}

#[async_trait]
impl RecordSource for TracedSource {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError> {
        let deliveries = self.source.receive(max).await?;
        let traced = deliveries.iter().filter_map(|delivery| {
            let span = self.begin(delivery.traceparent.as_deref()?)?;
            Some((delivery.tag.clone(), span))
        });
        let traced: HashMap<String, PayloadSpan> = traced.take(CONTEXTS_MAX).collect();
        // Earlier payloads may still be in flight. Each span ends with the one acknowledgement of its payload.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).extend(traced);
        Ok(deliveries)
    }

    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        let ended: Vec<(PayloadSpan, Status)> = {
            let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            let end = |acknowledgement: &Acknowledgement| {
                Some((in_flight.remove(&acknowledgement.tag)?, status(&acknowledgement.disposition)))
            };
            acknowledgements.iter().filter_map(end).collect()
        };
        let result = self.source.ack(acknowledgements).await;
        for (mut payload, status) in ended {
            payload.span.set_status(status);
        }
        result
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.source.ping().await
    }
}

fn status(disposition: &Disposition) -> Status {
    match disposition {
        Disposition::Ack => Status::Unset,
        Disposition::DeadLetter { reason, .. } => Status::error(format!("dead letter: {}", reason.name())),
        Disposition::Nack => Status::error("nack"),
    }
}
