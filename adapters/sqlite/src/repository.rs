//! The ports on SQLite: each method takes a connection here; its SQL is in the module that it calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::prelude::*;
use futures::StreamExt as _;
use tallyhouse_core::ports::{
    AuditPart, Backlog, Batch, ClaimScope, Clock, CommitOrder, Committed, Groups, HistoryQuery, Outbox, OutboxEntry,
    OutboxId, Owner, Page, PartStream, PipelinedRepository, PortError, PortErrorKind, RecordReader, RecordRepository,
    RuleRepository, Unordered,
};
use tallyhouse_core::{
    GroupQuery, ManagedRules, RecordId, RecordQuery, Reference, RuleEdit, RuleEditOutcome, StoredRecord, Summary,
    SummaryQuery,
};
use tokio::sync::Mutex;

use crate::connection::file_identity::DatabaseFiles;
use crate::connection::migrate;
use crate::connection::open::{check_writable, open_reader, open_writer};
use crate::connection::readers::Readers;
use crate::connection::settings::SqliteSettings;
use crate::read::groups::Item;
use crate::read::{audit, groups, records};
use crate::sql::error::{SqliteError, SqliteProblem, StoreError};
use crate::write::commit_cache::PlannedBatch;
use crate::write::roll_ups::RollUpWorker;
use crate::write::writer::{Session, Writer, transaction};
use crate::write::{commit, outbox, ping_write, rules};

/// Keeps records, running summaries and the outbox in an SQLite file.
///
/// One connection writes, others read. Several processes may use one file at once: they write one after the other.
/// The methods must be called within a tokio runtime, whose blocking threads do the work.
pub struct SqliteRepository {
    settings: Arc<SqliteSettings>,
    clock: Arc<dyn Clock>,
    writer: Writer,
    /// Held by the batch that is planned now, until it waits for the writer.
    planning: Arc<Mutex<()>>,
    readers: Readers,
    pub(crate) roll_ups: RollUpWorker,
}

impl SqliteRepository {
    /// Opens the file, or creates an empty one, and checks that it can be written to. The caller calls
    /// [`SqliteRepository::migrate`] or [`SqliteRepository::check_schema`] next.
    ///
    /// # Errors
    /// The file can't be used. The message is one line that says what to do.
    pub async fn open(settings: SqliteSettings, clock: Arc<dyn Clock>) -> Result<Self, SqliteError> {
        let settings = Arc::new(settings);
        Self::open_by(settings, clock, |settings| {
            let mut db = open_writer(settings)?;
            check_writable(&mut db, &settings.path)?;
            Ok(db)
        })
        .await
    }

    async fn open_by(
        settings: Arc<SqliteSettings>,
        clock: Arc<dyn Clock>,
        open: fn(&SqliteSettings) -> Result<SqliteConnection, SqliteError>,
    ) -> Result<Self, SqliteError> {
        let files = Arc::new(DatabaseFiles::at(&settings.path));
        let (ours, opened) = (Arc::clone(&settings), Arc::clone(&files));
        let connection = on_blocking_thread(&settings, move || opened.open(|| open(&ours))).await?;
        let writer = Writer::new(Arc::clone(&settings), files, connection);
        let readers = Readers::new(Arc::clone(&settings), Arc::clone(writer.files()), Arc::clone(&clock));
        let roll_ups = RollUpWorker::new(&writer, &readers);
        Ok(Self { settings, clock, writer, planning: Arc::default(), readers, roll_ups })
    }

    /// Opens an existing file for reads alone. The file and its folder need not be writable; every commit fails.
    ///
    /// # Errors
    /// Says in one line why the file can't be used, and what to do about it.
    pub async fn open_read_only(settings: SqliteSettings, clock: Arc<dyn Clock>) -> Result<Self, SqliteError> {
        let settings = Arc::new(settings);
        Self::open_by(settings, clock, open_reader).await
    }

    /// Applies the pending migrations, all or none, and returns their versions, oldest first. Several processes may do so
    /// at once.
    ///
    /// # Errors
    /// The schema is newer than this version, or the file can't be used. The message is one line that says what to do.
    pub async fn migrate(&self) -> Result<Vec<String>, SqliteError> {
        let settings = Arc::clone(&self.settings);
        on_blocking_thread(&self.settings, move || migrate::migrate(&mut open_writer(&settings)?, &settings.path)).await
    }

    /// Rolls up every committed record, and returns how many were not rolled up before. The repository does so by itself
    /// when enough of them wait; a caller may do so before it queries totals.
    ///
    /// # Errors
    /// The store can't do it now.
    pub async fn roll_up(&self) -> Result<u64, PortError> {
        self.roll_ups.roll_up_all().await
    }

    /// Plans a batch while its predecessor is being written, if its summaries are cached.
    async fn plan(&self, batch: &Batch, order: &Arc<dyn CommitOrder>) -> Result<Option<PlannedBatch>, StoreError> {
        let (cache, batch, order) = (self.writer.cache().clone(), batch.clone(), Arc::clone(order));
        tokio::task::spawn_blocking(move || cache.plan(&batch, &order)).await.map_err(StoreError::TaskFailed)
    }

    /// Checks that the schema is the one of this version. Changes nothing; costs two short reads.
    ///
    /// # Errors
    /// The schema is another one; [`SqliteRepository::migrate`] brings an older one up to date. The message is one line
    /// that says what to do.
    pub async fn check_schema(&self) -> Result<(), SqliteError> {
        let settings = Arc::clone(&self.settings);
        on_blocking_thread(&self.settings, move || migrate::check(&mut open_reader(&settings)?, &settings.path)).await
    }
}

impl fmt::Debug for SqliteRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRepository").field("settings", &self.settings).finish_non_exhaustive()
    }
}

async fn on_blocking_thread<T: Send + 'static>(
    settings: &SqliteSettings,
    work: impl FnOnce() -> Result<T, SqliteError> + Send + 'static,
) -> Result<T, SqliteError> {
    let stopped = |error| SqliteError::caused(&settings.path, SqliteProblem::Failing, error);
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

#[async_trait]
impl RecordRepository for SqliteRepository {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let misuse = || PortError::new(PortErrorKind::Misuse, "committing a batch", "an unordered batch had to wait");
        self.commit_in_order(batch, Arc::new(Unordered)).await?.ok_or_else(misuse)
    }

    async fn ping(&self) -> Result<(), PortError> {
        // Unlike SELECT 1, this reads the file.
        self.readers.run_upkeep("pinging the database", |db| records::head(db).map(drop)).await
    }

    async fn ping_write(&self) -> Result<(), PortError> {
        self.writer.run("trying to write", ping_write::ping_write).await
    }

    fn pipelined(&self) -> Option<&dyn PipelinedRepository> {
        Some(self)
    }
}

#[async_trait]
impl PipelinedRepository for SqliteRepository {
    async fn commit_in_order(&self, batch: Batch, order: Arc<dyn CommitOrder>) -> Result<Option<Committed>, PortError> {
        let what = "committing a batch";
        let roll_ups = self.roll_ups.clone();
        let planning = Arc::clone(&self.planning).lock_owned().await;
        // While the writer is free, planning first gains nothing.
        let planned = match self.writer.is_free() {
            true => None,
            false => self.plan(&batch, &order).await.map_err(|error| error.into_port(what))?,
        };
        let work = move |session: &mut Session| {
            let Some((committed, stored)) = commit::commit(session, &batch, &order, planned, planning)? else {
                return Ok(None);
            };
            if let Some(entry) = &committed.entry {
                roll_ups.count(&mut session.db, entry.first, &stored);
            }
            Ok(Some(committed))
        };
        let committed = self.writer.run_in_session(what, work).await?;
        if let Some(entry) = committed.as_ref().and_then(|committed| committed.entry) {
            self.roll_ups.committed(entry.last + 1 - entry.first);
        }
        Ok(committed)
    }
}

#[async_trait]
impl RecordReader for SqliteRepository {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        let id = id.clone();
        self.readers.run("finding a record", move |db| records::find(db, &id)).await
    }

    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        let ids = ids.to_vec();
        self.readers.run("finding records", move |db| records::find_all(db, &ids)).await
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        self.readers.run("reading records", move |db| records::records(db, &query)).await
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        self.readers.run("reading summaries", move |db| records::summaries(db, &query)).await
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        let what = "reading groups";
        let roll_ups = self.roll_ups.clone();
        let work = move |db: &mut _, parts: &_| groups::groups(db, &query, &roll_ups, parts);
        let mut items = self.readers.stream(what, work).await?;
        let misplaced =
            || PortError::new(PortErrorKind::Misuse, what, "the parts of an answer came in the wrong order");
        let Item::Next(next) = items.next().await.ok_or_else(misplaced)?? else { return Err(misplaced()) };
        let parts = items.map(move |item| match item? {
            Item::Part(part) => Ok(part),
            Item::Next(_) => Err(misplaced()),
        });
        Ok(Groups { parts: Box::pin(parts), next })
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        self.readers.run("reading the history", move |db| records::history(db, query)).await
    }

    async fn head(&self) -> Result<u64, PortError> {
        self.readers.run("reading the last position", records::head).await
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        self.readers.stream("reading for an audit", audit::audit).await
    }
}

#[async_trait]
impl Outbox for SqliteRepository {
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        let (owner, clock) = (owner.clone(), Arc::clone(&self.clock));
        // The clock is read when the lease is written, not when it starts to wait for the writer.
        self.writer.run("renewing a lease", move |db| outbox::renew(db, &owner, clock.now(), lease)).await
    }

    async fn claim(&self, owner: &Owner, scope: ClaimScope, entries_max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        let what = "claiming outbox entries";
        let (ours, now) = (owner.clone(), self.clock.now());
        let candidates =
            self.readers.run_upkeep(what, move |db| outbox::candidates(db, &ours, scope, now, entries_max)).await?;
        // The writer is only needed to claim abandoned entries, which are rare.
        if scope != ClaimScope::Abandoned || candidates.is_empty() {
            return Ok(candidates);
        }
        let (ours, clock) = (owner.clone(), Arc::clone(&self.clock));
        self.writer.run(what, move |db| outbox::claim_abandoned(db, &ours, clock.now(), entries_max)).await
    }

    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError> {
        if published.is_empty() {
            return Ok(());
        }
        let (owner, published) = (owner.clone(), published.to_vec());
        let work =
            move |db: &mut SqliteConnection| transaction(db, |db| outbox::mark_published(db, &owner, &published));
        self.writer.run("marking entries as published", work).await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.readers.run_upkeep("reading the backlog", outbox::backlog).await
    }
}

#[async_trait]
impl RuleRepository for SqliteRepository {
    async fn managed_rules(&self) -> Result<ManagedRules, PortError> {
        self.readers.run("reading the managed rules", |db| db.transaction(rules::managed)).await
    }

    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError> {
        self.writer.run("changing a managed rule", move |db| rules::change(db, &edit)).await
    }
}

#[cfg(test)]
mod tests;
