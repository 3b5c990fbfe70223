//! A repository in memory: for tests, for examples, and for hosts whose data need not outlive their process.
//!
//! One lock around plain collections makes its transactions. A commit plans under the lock, and applying the plan can't
//! fail half-way. It passes the conformance suite that every repository passes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tallyhouse_core::ports::{
    AuditPart, Backlog, Batch, ClaimScope, Clock, Committed, Groups, HistoryQuery, Outbox, OutboxEntry, OutboxId,
    Owner, Page, PartStream, PortError, PortErrorKind, RecordReader, RecordRepository, RuleRepository,
};
use tallyhouse_core::{
    GroupQuery, ManagedRules, RecordId, RecordQuery, Reference, RuleEdit, RuleEditOutcome, StoredRecord, Summary,
    SummaryQuery,
};

use crate::memory::store::Store;
use async_trait::async_trait;

/// Keeps records, summaries and the outbox in memory. Nothing is left when it is dropped.
///
/// Clones of one `Arc` are handles on the same store. A streamed answer is a snapshot that is taken under the lock; later
/// commits neither change it nor wait for it.
pub struct MemoryRepository {
    /// Its time of day decides whether a lease has lapsed.
    clock: Arc<dyn Clock>,
    store: Mutex<Store>,
}

impl MemoryRepository {
    /// Makes an empty store whose leases lapse by this clock's time of day.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, store: Mutex::default() }
    }

    /// Returns a copy of everything that is stored, for [`MemoryRepository::restore`].
    #[must_use]
    pub fn snapshot(&self) -> MemorySnapshot {
        MemorySnapshot(self.store.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Takes the store back to an earlier state, as the restoration of a backup does.
    pub fn restore(&self, snapshot: MemorySnapshot) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = snapshot.0;
    }

    fn lock(&self, what: &'static str) -> Result<MutexGuard<'_, Store>, PortError> {
        self.store.lock().map_err(|_| PortError::new(PortErrorKind::Corrupt, what, "an earlier call panicked half-way"))
    }
}

/// The contents of a [`MemoryRepository`] at one moment.
#[derive(Clone)]
pub struct MemorySnapshot(Store);

impl fmt::Debug for MemorySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySnapshot").finish_non_exhaustive()
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

    async fn ping(&self) -> Result<(), PortError> {
        self.lock("answering").map(drop)
    }
}

#[async_trait]
impl RecordReader for MemoryRepository {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        Ok(self.lock("finding a record")?.find(id))
    }

    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        let store = self.lock("finding records")?;
        Ok(ids.iter().map(|id| store.find(id)).collect())
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        Ok(self.lock("reading records")?.records(&query))
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
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

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        Ok(self.lock("reading for an audit")?.audit())
    }
}

#[async_trait]
impl Outbox for MemoryRepository {
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let now = self.clock.now();
        self.lock("renewing a lease")?.renew(owner, now, lease);
        Ok(())
    }

    async fn claim(&self, owner: &Owner, scope: ClaimScope, entries_max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let now = self.clock.now();
        Ok(self.lock("claiming outbox entries")?.claim(owner, scope, entries_max, now))
    }

    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError> {
        self.lock("marking entries as published")?.mark_published(Some(owner), published);
        Ok(())
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        Ok(self.lock("counting the outbox")?.backlog())
    }
}

#[async_trait]
impl RuleRepository for MemoryRepository {
    async fn managed_rules(&self) -> Result<ManagedRules, PortError> {
        Ok(self.lock("reading the managed rules")?.managed_rules())
    }

    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError> {
        Ok(self.lock("changing a managed rule")?.amend_rules(&edit))
    }
}

#[cfg(test)]
mod tests;
