//! The limit on short reads: no more are in flight than the store has connections for them. Further reads wait here, and
//! their callers are served in turn. The store serves first come, first served: a thousand reads of one caller would
//! delay the single read of another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_pipeline::ports::{
    AuditPart, Groups, HistoryQuery, Page, PartStream, PortError, PortErrorKind, RecordReader,
};
use tallyhouse_pipeline::{GroupQuery, RecordId, RecordQuery, Reference, StoredRecord, Summary, SummaryQuery};

use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::{Reservation, SharedBudget};

/// The longest wait of a read for a permit.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(5);

/// The permits of short reads, which callers share.
pub(crate) struct ReadLimit {
    reader: Arc<dyn RecordReader>,
    permits: Arc<SharedBudget>,
}

/// The reader of one caller: each short read takes a permit. Answers that are streamed have a limit of their own:
/// [`crate::access::concurrency_limit`].
struct LimitedReader {
    reader: Arc<dyn RecordReader>,
    permits: Arc<SharedBudget>,
    caller: Caller,
}

impl ReadLimit {
    pub(crate) fn new(reader: Arc<dyn RecordReader>, reads_max: usize) -> Self {
        Self { reader, permits: SharedBudget::new(reads_max.max(1)) }
    }

    /// Returns the reader for the requests of a caller.
    pub(crate) fn reader(&self, caller: &Caller) -> Arc<dyn RecordReader> {
        Arc::new(LimitedReader {
            reader: Arc::clone(&self.reader),
            permits: Arc::clone(&self.permits),
            caller: caller.clone(),
        })
    }

    /// Takes a permit for reads that another part of the service does for a caller.
    ///
    /// # Errors
    /// There was none in time.
    pub(crate) async fn permit(&self, caller: &Caller) -> Result<Reservation, PortError> {
        acquire(&self.permits, caller).await
    }
}

async fn acquire(permits: &Arc<SharedBudget>, caller: &Caller) -> Result<Reservation, PortError> {
    let busy = || PortError::new(PortErrorKind::Unavailable, "waiting for a read permit", "all stayed in use");
    permits.reserve(caller, 1, PERMIT_WAIT_MAX).await.ok_or_else(busy)
}

impl LimitedReader {
    async fn permit(&self) -> Result<Reservation, PortError> {
        acquire(&self.permits, &self.caller).await
    }
}

#[async_trait]
impl RecordReader for LimitedReader {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        let _permit = self.permit().await?;
        self.reader.find(id).await
    }

    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        let _permit = self.permit().await?;
        self.reader.find_all(ids).await
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        let _permit = self.permit().await?;
        self.reader.records(query).await
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        let _permit = self.permit().await?;
        self.reader.summaries(query).await
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        self.reader.groups(query).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        let _permit = self.permit().await?;
        self.reader.history(query).await
    }

    async fn head(&self) -> Result<u64, PortError> {
        let _permit = self.permit().await?;
        self.reader.head().await
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        self.reader.audit().await
    }
}
