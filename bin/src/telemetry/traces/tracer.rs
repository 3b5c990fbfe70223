//! The tracer: builds the provider, and traces requests, commits, payloads and publications.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::contexts::{CONTEXTS_MAX, sampled};
use super::otlp_exporter;
use super::parent_spans::ParentSpans;
use crate::settings::OtlpSettings;

/// Exported traces. Clones share one exporter.
#[derive(Clone)]
pub(crate) struct Traces(Arc<Parts>);

struct Parts {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// The spans of requests and queue payloads in progress.
    open_spans: ParentSpans,
    /// The spans of commits whose messages are unpublished.
    committed: ParentSpans,
}

/// The spans of a batch: one in each trace of its records.
pub(super) struct BatchSpans(Vec<(String, Span)>);

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Starts tracing. The collector need not be reachable. Must be called on the runtime, which does the export.
    ///
    /// # Errors
    /// The exporter can't be built.
    pub(crate) fn start(settings: &OtlpSettings) -> anyhow::Result<Self> {
        let exporter = otlp_exporter::exporter(settings).context("traces can't be sent")?;
        // The caller's decision is final. New traces are sampled by trace id, so that several services agree.
        let roots = Sampler::TraceIdRatioBased(settings.sampled_share);
        let resource = Resource::builder().with_service_name(settings.service_name.clone());
        let resource = resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        // The SDK queues spans within a bound, exports them from its own thread, and drops the surplus.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(roots)))
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let scope = InstrumentationScope::builder("tallyhouse").with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = provider.tracer_with_scope(scope);
        Ok(Self(Arc::new(Parts {
            provider,
            tracer,
            open_spans: ParentSpans::default(),
            committed: ParentSpans::default(),
        })))
    }

    /// Sends the queued spans, as far as the collector takes them within this time.
    pub(crate) async fn stop(self, within: Duration) {
        let provider = self.0.provider.clone();
        // The exporter itself logs failed exports.
        let sent = spawn_blocking(move || provider.shutdown_with_timeout(within).is_ok());
        if !matches!(timeout(within, sent).await, Ok(Ok(true))) {
            tracing::warn!("some traces were not sent before the stop");
        }
    }

    /// Begins a span as the child of another, or as the root of a new trace. It may be unsampled.
    pub(super) fn begin(&self, span: SpanBuilder, parent: Option<SpanContext>) -> Span {
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        self.0.tracer.build_with_context(span, &parent)
    }

    /// Remembers the open span of records with this context.
    pub(super) fn span_opened(&self, traceparent: &str, span: &SpanContext) {
        self.0.open_spans.insert(traceparent, span);
    }

    /// Forgets the span when it ends.
    pub(super) fn span_closed(&self, traceparent: &str) {
        self.0.open_spans.remove(traceparent);
    }

    /// Begins the spans of a commit: one in each trace of its records.
    pub(super) fn commit<'a>(&self, traceparents: impl Iterator<Item = Option<&'a str>>) -> BatchSpans {
        let parent = |traceparent: &str| self.0.open_spans.of(traceparent);
        self.batch("commit", SpanKind::Internal, traceparents, parent)
    }

    /// Begins the spans of a publication.
    pub(super) fn publish<'a>(&self, traceparents: impl Iterator<Item = Option<&'a str>>) -> BatchSpans {
        let parent = |traceparent: &str| self.0.committed.of(traceparent).or_else(|| self.0.open_spans.of(traceparent));
        self.batch("publish", SpanKind::Producer, traceparents, parent)
    }

    /// Remembers the commit as the parent of the publication of its messages.
    pub(super) fn committed(&self, spans: &BatchSpans) {
        spans.0.iter().for_each(|(traceparent, span)| self.0.committed.insert(traceparent, span.span_context()));
    }

    /// Forgets the commit when its messages are published.
    pub(super) fn published(&self, spans: &BatchSpans) {
        spans.0.iter().for_each(|(traceparent, _)| self.0.committed.remove(traceparent));
    }

    /// Begins one span in each trace, with its parent there. The first span and all others are linked both ways.
    fn batch<'a>(
        &self,
        name: &'static str,
        kind: SpanKind,
        traceparents: impl Iterator<Item = Option<&'a str>>,
        parent: impl Fn(&str) -> Option<SpanContext>,
    ) -> BatchSpans {
        let contexts = sampled(traceparents);
        let mut spans: Vec<(String, Span)> = Vec::with_capacity(contexts.len().min(CONTEXTS_MAX));
        for (traceparent, theirs) in contexts {
            let first = spans.first().map(|(_, span)| span.span_context().clone());
            let links = first.into_iter().map(Link::with_context).collect();
            let builder = SpanBuilder::from_name(name).with_kind(kind.clone()).with_links(links);
            let span = self.begin(builder, Some(parent(traceparent).unwrap_or(theirs)));
            if let Some((_, first)) = spans.first_mut() {
                first.add_link(span.span_context().clone(), Vec::new());
            }
            spans.push((traceparent.to_owned(), span));
        }
        BatchSpans(spans)
    }
}

impl BatchSpans {
    /// Returns whether no record belongs to a sampled trace.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the spans with the result.
    pub(super) fn end(self, attributes: &[KeyValue], failure: Option<String>) {
        for (_, mut span) in self.0 {
            span.set_attributes(attributes.iter().cloned());
            if let Some(failure) = &failure {
                span.set_status(Status::error(failure.clone()));
            }
            span.end();
        }
    }
}

/// Returns a count as an attribute.
pub(super) fn number(name: &'static str, count: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX))
}
