//! The ports on Postgres: each method takes a connection here; its SQL is in the module that it calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tallyhouse_core::ports::{
    AuditPart, Backlog, Batch, ClaimScope, CommitOrder, Committed, Groups, HistoryQuery, Outbox, OutboxEntry, OutboxId,
    Owner, Page, PartStream, PipelinedRepository, PortError, PortErrorKind, RecordReader, RecordRepository,
    RuleRepository, Unordered,
};
use tallyhouse_core::{
    GroupQuery, ManagedRules, RecordId, RecordQuery, Reference, RuleEdit, RuleEditOutcome, StoredRecord, Summary,
    SummaryQuery,
};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::connection::migrate;
use crate::connection::pool::{Pool, Pools};
use crate::connection::settings::PostgresSettings;
use crate::read::{audit, groups, records};
use crate::sql::error::StoreError;
use crate::write::commit_unknown::CommitUnknown;
use crate::write::optimistic::Optimistic;
use crate::write::roll_ups::RollUpWorker;
use crate::write::{commit, outbox, ping_write, rules};

/// Records, running summaries and the outbox in Postgres. Cheap to clone; clones share their connections.
///
/// The methods must be called within a tokio runtime that has its timer enabled.
#[derive(Debug, Clone)]
pub struct PostgresRepository {
    pools: Pools,
    optimistic: Optimistic,
    roll_ups: RollUpWorker,
    settings: Arc<PostgresSettings>,
}

/// The use of a pool of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    /// The purpose of its connections.
    pub name: &'static str,
    /// The most connections.
    pub size: u32,
    /// Connections in use.
    pub busy: u32,
}

impl PostgresRepository {
    /// Creates a repository without connecting, so that a service can start before its database.
    #[must_use]
    pub fn new(settings: PostgresSettings) -> Self {
        let pools = Pools::new(&settings);
        let roll_ups = RollUpWorker::new(&pools.upkeep);
        Self { pools, optimistic: Optimistic::default(), roll_ups, settings: Arc::new(settings) }
    }

    /// Returns the use of the pools of connections.
    #[must_use]
    pub fn pools(&self) -> [PoolUsage; 4] {
        let Pools { writers, readers, streams, upkeep } = &self.pools;
        let usage = |name, pool: &Pool| {
            let (size, busy) = pool.usage();
            PoolUsage { name, size, busy }
        };
        [usage("writers", writers), usage("readers", readers), usage("streams", streams), usage("upkeep", upkeep)]
    }

    /// Returns how many batches were committed by each path: `optimistic`, by one statement; `pipelined`, upon another
    /// commit in flight; `locked`, with locks, as when other instances write the same keys. `mispredicted` are failed
    /// optimistic attempts; the locked commits that follow them count by themselves.
    #[must_use]
    pub fn commits(&self) -> [(&'static str, u64); 4] {
        self.optimistic.counts()
    }

    /// Runs the pending migrations, and returns their names. Several instances may do so at once.
    ///
    /// # Errors
    /// `Unavailable` if the database can't be reached; `Misuse` if its schema is newer than this version, or its
    /// encoding is not UTF-8.
    pub async fn migrate(&self) -> Result<Vec<String>, PortError> {
        self.on_own_connection("migrating the database", migrate::migrate).await
    }

    /// Checks that the schema is the one of this version.
    ///
    /// # Errors
    /// `Unavailable` if the database can't be reached; `Misuse` if its schema is older or newer than this version, or its
    /// encoding is not UTF-8. [`PostgresRepository::migrate`] brings an older schema up to date.
    pub async fn check_schema(&self) -> Result<(), PortError> {
        self.on_own_connection("checking the schema", migrate::check).await
    }

    /// Rolls up every committed record, and returns how many were not rolled up before. The repository does so by itself
    /// when enough of them wait; a caller may do so before it queries totals.
    ///
    /// # Errors
    /// The store can't do it now.
    pub async fn roll_up(&self) -> Result<u64, PortError> {
        self.roll_ups.roll_up_all().await
    }

    async fn on_own_connection<T: Send + 'static>(
        &self,
        what: &'static str,
        work: fn(&PostgresSettings) -> Result<T, StoreError>,
    ) -> Result<T, PortError> {
        let settings = Arc::clone(&self.settings);
        let task = spawn_blocking(move || work(&settings));
        // Neither a frozen server nor an instance that never ends its migrations may block the others for ever. The
        // waiting thread ends with the program.
        let result = match timeout(self.settings.migrate_timeout, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(panicked)) => Err(StoreError::Misuse(panicked.to_string())),
            Err(_elapsed) => Err(StoreError::NoAnswer),
        };
        result.map_err(|error| error.into_port(what))
    }
}

#[async_trait]
impl RecordRepository for PostgresRepository {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let misuse = || PortError::new(PortErrorKind::Misuse, "committing a batch", "an unordered batch had to wait");
        self.commit_in_order(batch, Arc::new(Unordered)).await?.ok_or_else(misuse)
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.pools.upkeep.run("pinging the database", records::ping).await
    }

    async fn ping_write(&self) -> Result<(), PortError> {
        self.pools.writers.run("trying to write", ping_write::ping_write).await
    }

    fn pipelined(&self) -> Option<&dyn PipelinedRepository> {
        Some(self)
    }
}

#[async_trait]
impl PipelinedRepository for PostgresRepository {
    async fn commit_in_order(&self, batch: Batch, order: Arc<dyn CommitOrder>) -> Result<Option<Committed>, PortError> {
        let (optimistic, commit_unknown) = (self.optimistic.clone(), CommitUnknown::default());
        let work = move |connection: &mut _| commit::commit(connection, &batch, &order, &optimistic, &commit_unknown);
        let committed = self.pools.writers.run("committing a batch", work).await?;
        if let Some(entry) = committed.as_ref().and_then(|committed| committed.entry) {
            self.roll_ups.committed(entry.last + 1 - entry.first);
        }
        Ok(committed)
    }
}

#[async_trait]
impl RecordReader for PostgresRepository {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        let id = id.clone();
        self.pools.readers.run("finding a record", move |connection| records::find(connection, &id)).await
    }

    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        let ids = ids.to_vec();
        self.pools.readers.run("finding records", move |connection| records::find_all(connection, &ids)).await
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        self.pools.readers.run("reading records", move |connection| records::records(connection, &query)).await
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        self.pools.readers.run("reading summaries", move |connection| records::summaries(connection, &query)).await
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        groups::groups(&self.pools, &self.roll_ups, query).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        self.pools.readers.run("reading the history", move |connection| records::history(connection, query)).await
    }

    async fn head(&self) -> Result<u64, PortError> {
        self.pools.readers.run("reading the last position", records::head).await
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        audit::audit(&self.pools).await
    }
}

#[async_trait]
impl Outbox for PostgresRepository {
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let owner = owner.clone();
        self.pools.upkeep.run("renewing a lease", move |connection| outbox::renew(connection, &owner, lease)).await
    }

    async fn claim(&self, owner: &Owner, scope: ClaimScope, entries_max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let owner = owner.clone();
        let work = move |connection: &mut _| outbox::claim(connection, &owner, scope, entries_max);
        self.pools.upkeep.run_once("claiming outbox entries", work).await
    }

    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError> {
        let (owner, published) = (owner.clone(), published.to_vec());
        let work = move |connection: &mut _| outbox::mark_published(connection, &owner, &published);
        self.pools.upkeep.run("marking entries as published", work).await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.pools.upkeep.run("reading the backlog", outbox::backlog).await
    }
}

#[async_trait]
impl RuleRepository for PostgresRepository {
    async fn managed_rules(&self) -> Result<ManagedRules, PortError> {
        self.pools.readers.run("reading the managed rules", rules::managed).await
    }

    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError> {
        self.pools.writers.run("changing a managed rule", move |connection| rules::change(connection, &edit)).await
    }
}
