//! A decorator of the repository with a span for each commit. Spans begin before the transaction and end after it, so
//! that tracing never prolongs a lock.

use std::sync::Arc;
use tallyhouse_pipeline::OutcomeCounts;
use tallyhouse_pipeline::ports::{Batch, CommitOrder, Committed, PipelinedRepository, PortError, RecordRepository};

use async_trait::async_trait;
use opentelemetry::KeyValue;

use super::tracer::{BatchSpans, Traces, number};

/// A repository with a span for each commit.
pub(super) struct TracedRepository {
    pub(super) repository: Arc<dyn RecordRepository>,
    pub(super) traces: Traces,
}

#[async_trait]
impl RecordRepository for TracedRepository {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let spans = self.spans(&batch);
        let records = batch.arrivals.len();
        let result = self.repository.commit(batch).await;
        self.end(spans, records, result.as_ref());
        result
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.repository.ping().await
    }

    async fn ping_write(&self) -> Result<(), PortError> {
        self.repository.ping_write().await
    }

    fn pipelined(&self) -> Option<&dyn PipelinedRepository> {
        self.repository.pipelined().map(|_| self as _)
    }
}

#[async_trait]
impl PipelinedRepository for TracedRepository {
    async fn commit_in_order(&self, batch: Batch, order: Arc<dyn CommitOrder>) -> Result<Option<Committed>, PortError> {
        let Some(repository) = self.repository.pipelined() else {
            return self.commit(batch).await.map(Some);
        };
        let spans = self.spans(&batch);
        let records = batch.arrivals.len();
        let result = repository.commit_in_order(batch, order).await;
        match &result {
            Ok(Some(committed)) => self.end(spans, records, Ok(committed)),
            // Nothing was committed. The caller commits again, with new spans.
            Ok(None) => drop(spans),
            Err(error) => self.end(spans, records, Err(error)),
        }
        result
    }
}

impl TracedRepository {
    fn spans(&self, batch: &Batch) -> BatchSpans {
        self.traces.commit(batch.arrivals.iter().map(|arrival| arrival.traceparent.as_deref()))
    }

    fn end(&self, spans: BatchSpans, records: usize, result: Result<&Committed, &PortError>) {
        if spans.is_empty() {
            return;
        }
        let records = number("tallyhouse.batch.records", records);
        match result {
            Ok(committed) => {
                if committed.entry.is_some() {
                    self.traces.committed(&spans);
                }
                let [processed, duplicates, refused] = counted(committed);
                spans.end(&[records, processed, duplicates, refused], None);
            }
            // The causes may hold addresses, so they go to the log alone.
            Err(error) => spans.end(&[records], Some(error.to_string())),
        }
    }
}

fn counted(committed: &Committed) -> [KeyValue; 3] {
    let mut counts = OutcomeCounts::default();
    committed.outcomes.iter().for_each(|outcome| counts.count(outcome));
    let number = |name, count| number(name, usize::try_from(count).unwrap_or(usize::MAX));
    [
        number("tallyhouse.batch.processed", counts.processed),
        number("tallyhouse.batch.duplicates", counts.duplicates),
        number("tallyhouse.batch.refused", counts.refused()),
    ]
}
