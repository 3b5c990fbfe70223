//! A repository in memory: for tests, for examples, and for hosts that need no more than the life of their process.
//!
//! One lock around plain collections is the whole of its transactions: what a commit does is decided by
//! [`plan`](crate::plan) under the lock, and writing it down can't fail half-way. It passes the conformance suite that
//! every repository passes.

mod store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::memory::store::Store;
use crate::outcome::StoredRecord;
use crate::ports::{
    Batch, Clock, Committed, HistoryQuery, OwedBatch, OwedId, OwedStats, Owner, PortError, PortErrorKind,
    RecordRepository, RuleRepository, Whose,
};
use crate::query::{AuditPart, GroupQuery, Groups, PartStream, RecordQuery, SummaryQuery};
use crate::rule_book::{ManagedRules, RuleEdit, RuleEdited};
use crate::summary::Summary;
use crate::text::{RecordId, Reference};

/// Keeps records, summaries and the outbox in memory. Nothing is left when it is dropped.
///
/// Clones of one `Arc` are handles on the same store. A streamed answer is a snapshot taken under the lock: it holds
/// what it will show by reference, and later commits neither change it nor wait for it.
pub struct MemoryRepository {
    /// Judges leases.
    clock: Arc<dyn Clock>,
    store: Mutex<Store>,
}

impl MemoryRepository {
    /// Makes an empty store whose leases lapse by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, store: Mutex::default() }
    }

    fn lock(&self, what: &'static str) -> Result<MutexGuard<'_, Store>, PortError> {
        self.store.lock().map_err(|_| PortError::new(PortErrorKind::Corrupt, what, "an earlier call panicked half-way"))
    }
}

impl fmt::Debug for MemoryRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRepository").finish_non_exhaustive()
    }
}

#[async_trait]
impl RecordRepository for MemoryRepository {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        Ok(self.lock("committing a batch")?.commit(&batch))
    }

    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        Ok(self.lock("finding a record")?.find(id))
    }

    async fn records(&self, query: RecordQuery) -> Result<Vec<StoredRecord>, PortError> {
        Ok(self.lock("reading records")?.records(&query))
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Vec<(Reference, Summary)>, PortError> {
        Ok(self.lock("reading summaries")?.summaries(&query))
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        Ok(self.lock("reading groups")?.groups(&query))
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        Ok(self.lock("reading the history")?.history(query))
    }

    async fn head(&self) -> Result<u64, PortError> {
        Ok(self.lock("reading the head")?.head())
    }

    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let now = self.clock.elapsed();
        self.lock("renewing a lease")?.renew(owner, now, lease);
        Ok(())
    }

    async fn claim(&self, owner: &Owner, whose: Whose, batches_max: usize) -> Result<Vec<OwedBatch>, PortError> {
        let now = self.clock.elapsed();
        Ok(self.lock("claiming owed batches")?.claim(owner, whose, batches_max, now))
    }

    async fn settle(&self, owner: &Owner, published: &[OwedId]) -> Result<(), PortError> {
        self.lock("settling owed batches")?.settle(Some(owner), published);
        Ok(())
    }

    async fn owed(&self) -> Result<OwedStats, PortError> {
        Ok(self.lock("counting what is owed")?.owed())
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        Ok(self.lock("reading for an audit")?.audit())
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.lock("answering").map(drop)
    }
}

#[async_trait]
impl RuleRepository for MemoryRepository {
    async fn managed_rules(&self) -> Result<ManagedRules, PortError> {
        Ok(self.lock("reading the managed rules")?.managed_rules())
    }

    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEdited, PortError> {
        Ok(self.lock("changing a managed rule")?.amend_rules(&edit))
    }
}

#[cfg(test)]
mod tests;
