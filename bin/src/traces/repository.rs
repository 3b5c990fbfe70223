//! Commits, seen from outside: the span of one begins before its transaction and ends after it, so that nothing is done
//! for traces while rows are locked.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use tallyhouse_core::ports::{
    Batch, Committed, HistoryQuery, OwedBatch, OwedId, OwedStats, Owner, PortError, RecordRepository, Whose,
};
use tallyhouse_core::{
    AuditPart, GroupQuery, Groups, OutcomeCounts, PartStream, RecordId, RecordQuery, Reference, StoredRecord, Summary,
    SummaryQuery,
};

use super::otlp::{Traces, number};

/// A repository whose commits are traced.
pub(super) struct TracedRepository {
    pub(super) repository: Arc<dyn RecordRepository>,
    pub(super) traces: Traces,
}

#[async_trait]
impl RecordRepository for TracedRepository {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let spans = self.traces.commit(batch.arrivals.iter().map(|arrival| arrival.traceparent.as_deref()));
        if spans.is_empty() {
            return self.repository.commit(batch).await;
        }
        let records = number("tallyhouse.batch.records", batch.arrivals.len());
        let result = self.repository.commit(batch).await;
        match &result {
            Ok(committed) => {
                if committed.owed.is_some() {
                    self.traces.committed(&spans);
                }
                let [processed, duplicates, refused] = counted(committed);
                spans.end(&[records, processed, duplicates, refused], None);
            }
            // Its causes are for the log.
            Err(error) => spans.end(&[records], Some(error.to_string())),
        }
        result
    }

    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        self.repository.find(id).await
    }

    async fn records(&self, query: RecordQuery) -> Result<Vec<StoredRecord>, PortError> {
        self.repository.records(query).await
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Vec<(Reference, Summary)>, PortError> {
        self.repository.summaries(query).await
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        self.repository.groups(query).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        self.repository.history(query).await
    }

    async fn head(&self) -> Result<u64, PortError> {
        self.repository.head().await
    }

    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        self.repository.renew(owner, lease).await
    }

    async fn claim(&self, owner: &Owner, whose: Whose, batches_max: usize) -> Result<Vec<OwedBatch>, PortError> {
        self.repository.claim(owner, whose, batches_max).await
    }

    async fn settle(&self, owner: &Owner, published: &[OwedId]) -> Result<(), PortError> {
        self.repository.settle(owner, published).await
    }

    async fn owed(&self) -> Result<OwedStats, PortError> {
        self.repository.owed().await
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        self.repository.audit().await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.repository.ping().await
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
