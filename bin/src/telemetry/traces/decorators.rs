//! Decorates the ports with spans.

use std::sync::Arc;

use tallyhouse_http::RequestTracer;
use tallyhouse_pipeline::ports::{MessageEmitter, RecordRepository, RecordSource};

use super::queues::{TracedEmitter, TracedSource};
use super::repository::TracedRepository;
use super::requests::Requests;
use super::tracer::Traces;

impl Traces {
    /// Returns the tracer of HTTP requests.
    pub(crate) fn requests(&self) -> Arc<dyn RequestTracer> {
        Arc::new(Requests(self.clone()))
    }

    /// Decorates a repository with a span for each commit.
    pub(crate) fn repository(&self, repository: Arc<dyn RecordRepository>) -> Arc<dyn RecordRepository> {
        Arc::new(TracedRepository { repository, traces: self.clone() })
    }

    /// Decorates an emitter with a span for each publication.
    pub(crate) fn emitter(&self, emitter: Arc<dyn MessageEmitter>) -> Arc<dyn MessageEmitter> {
        Arc::new(TracedEmitter { emitter, traces: self.clone() })
    }

    /// Makes spans of the payloads of a queue, of one consumer.
    pub(crate) fn source(&self, source: Arc<dyn RecordSource>) -> Arc<dyn RecordSource> {
        Arc::new(TracedSource::new(source, self.clone()))
    }
}
