//! Queue payloads and messages, seen from outside.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status};
use opentelemetry_sdk::trace::Span;
use tallyhouse_pipeline::Message;
use tallyhouse_pipeline::ports::{Acknowledgement, Delivery, Disposition, MessageEmitter, PortError, RecordSource};

use super::contexts::{CONTEXTS_MAX, parse};
use super::otlp::{Traces, number};

/// An emitter whose publications are traced.
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

    async fn ping(&self) -> Result<(), PortError> {
        self.emitter.ping().await
    }
}

/// A queue of one consumer whose payloads are traced: each has a span from the moment at which it is received until it
/// is settled.
pub(super) struct TracedSource {
    source: Arc<dyn RecordSource>,
    traces: Traces,
    /// What is under way, by its tag.
    held: Mutex<HashMap<String, Held>>,
}

/// A payload under way.
struct Held {
    traceparent: String,
    span: Span,
    traces: Traces,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.traces.leave(&self.traceparent);
    }
}

impl TracedSource {
    pub(super) fn new(source: Arc<dyn RecordSource>, traces: Traces) -> Self {
        Self { source, traces, held: Mutex::default() }
    }

    /// Begins the span of a payload.
    fn hold(&self, traceparent: &str) -> Option<Held> {
        let theirs = parse(traceparent).filter(SpanContext::is_sampled)?;
        let name = format!("process {}", self.source.name());
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Consumer).with_attributes([
            KeyValue::new("messaging.system", "redis"),
            KeyValue::new("messaging.operation.type", "process"),
        ]);
        let span = self.traces.begin(span, Some(theirs));
        self.traces.enter(traceparent, span.span_context());
        Some(Held { traceparent: traceparent.to_owned(), span, traces: self.traces.clone() })
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
            let held = self.hold(delivery.traceparent.as_deref()?)?;
            Some((delivery.tag.clone(), held))
        });
        let traced: HashMap<String, Held> = traced.take(CONTEXTS_MAX).collect();
        // Those that were received before may still be on their way. All are settled once, or tried to be, and end with
        // that.
        self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(traced);
        Ok(deliveries)
    }

    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        let ended: Vec<(Held, Status)> = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let end = |acknowledgement: &Acknowledgement| {
                Some((held.remove(&acknowledgement.tag)?, status(&acknowledgement.disposition)))
            };
            acknowledgements.iter().filter_map(end).collect()
        };
        let result = self.source.ack(acknowledgements).await;
        for (mut held, status) in ended {
            held.span.set_status(status);
        }
        result
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.source.ping().await
    }
}

fn status(verdict: &Disposition) -> Status {
    match verdict {
        Disposition::Ack => Status::Unset,
        Disposition::DeadLetter { reason, .. } => Status::error(format!("refused: {}", reason.name())),
        Disposition::Nack => Status::error("given back"),
    }
}
