//! The spans, and where they go.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tallyhouse_pipeline::ports::{MessageEmitter, RecordRepository, RecordSource};

use anyhow::Context as _;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use tallyhouse_http::RequestTracer;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::collector;
use super::contexts::{CONTEXTS_MAX, sampled};
use super::innermost::Innermost;
use super::queues::{TracedEmitter, TracedSource};
use super::repository::TracedRepository;
use super::requests::Requests;
use crate::settings::OtlpSettings;

/// Traces that are sent. Clones are the same traces.
#[derive(Clone)]
pub(crate) struct Traces(Arc<Parts>);

struct Parts {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// The requests and queue payloads that are under way.
    entered: Innermost,
    /// The commits whose messages are not published yet.
    committed: Innermost,
}

/// What has happened to a batch, once for each trace that it has a part in.
pub(super) struct BatchSpans(Vec<(String, Span)>);

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

impl Traces {
    /// Begins to trace. The collector need not answer yet. Called within the runtime, which sends what is traced.
    ///
    /// # Errors
    /// The sender of spans can't be made.
    pub(crate) fn start(settings: &OtlpSettings) -> anyhow::Result<Self> {
        let exporter = collector::exporter(settings).context("traces can't be sent")?;
        // A caller's word counts; what begins here is sampled by its trace id, so that several services agree.
        let roots = Sampler::TraceIdRatioBased(settings.sampled_share);
        let resource = Resource::builder().with_service_name(settings.service_name.clone());
        let resource = resource.with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        // Spans wait in a queue with a bound and are sent by a thread of its own: those beyond are dropped.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(roots)))
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let scope = InstrumentationScope::builder("tallyhouse").with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = provider.tracer_with_scope(scope);
        Ok(Self(Arc::new(Parts { provider, tracer, entered: Innermost::default(), committed: Innermost::default() })))
    }

    /// Returns what makes spans of requests.
    pub(crate) fn requests(&self) -> Arc<dyn RequestTracer> {
        Arc::new(Requests(self.clone()))
    }

    /// Makes spans of the commits of a repository.
    pub(crate) fn repository(&self, repository: Arc<dyn RecordRepository>) -> Arc<dyn RecordRepository> {
        Arc::new(TracedRepository { repository, traces: self.clone() })
    }

    /// Makes spans of what an emitter publishes.
    pub(crate) fn emitter(&self, emitter: Arc<dyn MessageEmitter>) -> Arc<dyn MessageEmitter> {
        Arc::new(TracedEmitter { emitter, traces: self.clone() })
    }

    /// Makes spans of the payloads of a queue, of one consumer.
    pub(crate) fn source(&self, source: Arc<dyn RecordSource>) -> Arc<dyn RecordSource> {
        Arc::new(TracedSource::new(source, self.clone()))
    }

    /// Sends what waits, as far as the collector takes it within this time.
    pub(crate) async fn stop(self, within: Duration) {
        let provider = self.0.provider.clone();
        // What can't be sent is told by the exporter itself.
        let sent = spawn_blocking(move || provider.shutdown_with_timeout(within).is_ok());
        if !matches!(timeout(within, sent).await, Ok(Ok(true))) {
            tracing::warn!("some traces were not sent before the stop");
        }
    }

    /// Begins a span, as the child of another or as the first of a new trace. Not all are sampled.
    pub(super) fn begin(&self, span: SpanBuilder, parent: Option<SpanContext>) -> Span {
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        self.0.tracer.build_with_context(span, &parent)
    }

    /// Notes that records with this context are within a span from now on.
    pub(super) fn enter(&self, traceparent: &str, span: &SpanContext) {
        self.0.entered.note(traceparent, span);
    }

    /// Notes that they have left it.
    pub(super) fn leave(&self, traceparent: &str) {
        self.0.entered.forget(traceparent);
    }

    /// Begins the spans of a commit: one in each trace that its records belong to.
    pub(super) fn commit<'a>(&self, traceparents: impl Iterator<Item = Option<&'a str>>) -> BatchSpans {
        let parent = |traceparent: &str| self.0.entered.of(traceparent);
        self.batch("commit", SpanKind::Internal, traceparents, parent)
    }

    /// Begins the spans of a publication.
    pub(super) fn publish<'a>(&self, traceparents: impl Iterator<Item = Option<&'a str>>) -> BatchSpans {
        let parent = |traceparent: &str| self.0.committed.of(traceparent).or_else(|| self.0.entered.of(traceparent));
        self.batch("publish", SpanKind::Producer, traceparents, parent)
    }

    /// Notes which commit the messages come from that are to be published.
    pub(super) fn committed(&self, spans: &BatchSpans) {
        spans.0.iter().for_each(|(traceparent, span)| self.0.committed.note(traceparent, span.span_context()));
    }

    /// Notes that they are published.
    pub(super) fn published(&self, spans: &BatchSpans) {
        spans.0.iter().for_each(|(traceparent, _)| self.0.committed.forget(traceparent));
    }

    /// Begins a span in each of the traces, each in its own place there. The first is linked to all others, and they to
    /// it.
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
    /// Says whether no trace has a part in it: then there is nothing to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends them with how it went.
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

/// A number of things, as an attribute.
pub(super) fn number(name: &'static str, count: usize) -> KeyValue {
    KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX))
}
