//! A repository in memory that can be made to fail, and a clock that runs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tallyhouse_pipeline::ports::{
    AuditPart, Backlog, Batch, ClaimScope, Clock, Committed, Groups, HistoryQuery, Outbox, OutboxEntry, OutboxId,
    Owner, Page, PartStream, PortError, PortErrorKind, RecordReader, RecordRepository, RuleRepository,
};
use tallyhouse_pipeline::{
    GroupQuery, ManagedRules, RecordId, RecordQuery, Reference, RuleEdit, RuleEditOutcome, StoredRecord, Summary,
    SummaryQuery, Timestamp,
};
use tallyhouse_testing::MemoryRepository;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::sync::Semaphore;

/// The time since the test began, on a fixed day.
pub(crate) struct RunningClock(Instant);

impl RunningClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        let start = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
        Timestamp::from_micros(start.as_micros() + i64::try_from(self.0.elapsed().as_micros()).unwrap()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Does what a repository in memory does, until it is told to fail.
pub(crate) struct FaultyStore {
    memory: MemoryRepository,
    /// Every call fails.
    pub(crate) unavailable: AtomicBool,
    /// So many more commits succeed.
    pub(crate) commits_left: AtomicUsize,
    /// So many more look-ups by id succeed.
    pub(crate) finds_left: AtomicUsize,
    /// Parts of a stream of groups, before it fails.
    pub(crate) parts_left: AtomicUsize,
    /// So many more pages of the history, before it fails.
    pub(crate) pages_left: AtomicUsize,
    /// A page of the history waits until it is let through.
    pub(crate) pages: Semaphore,
    /// A look-up by id waits until it is let through.
    pub(crate) finds: Semaphore,
    /// The ids that were looked up, in their order.
    pub(crate) found: Mutex<Vec<String>>,
    /// How often several ids were looked up together.
    pub(crate) found_together: AtomicUsize,
    /// A look-up by id panics.
    pub(crate) panics: AtomicBool,
    /// A commit waits until it is let through.
    pub(crate) gate: Semaphore,
    /// What becomes of commits and of attempts to write. Pings are answered all the same.
    pub(crate) writes: Mutex<Writes>,
}

/// What becomes of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    Succeed,
    /// They fail, for this reason if it is known.
    Fail(Option<&'static str>),
    /// Commits fail, and attempts to write get no answer.
    Hang,
}

/// More than any test needs.
const MANY: usize = 1 << 20;

impl FaultyStore {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            memory: MemoryRepository::new(clock),
            unavailable: AtomicBool::new(false),
            commits_left: AtomicUsize::new(MANY),
            finds_left: AtomicUsize::new(MANY),
            parts_left: AtomicUsize::new(MANY),
            pages_left: AtomicUsize::new(MANY),
            pages: Semaphore::new(MANY),
            finds: Semaphore::new(MANY),
            found: Mutex::default(),
            found_together: AtomicUsize::new(0),
            panics: AtomicBool::new(false),
            gate: Semaphore::new(MANY),
            writes: Mutex::new(Writes::Succeed),
        }
    }

    async fn write(&self, what: &'static str, waits: bool) -> Result<(), PortError> {
        let writes = *self.writes.lock().unwrap();
        match writes {
            Writes::Succeed => Ok(()),
            Writes::Fail(reason) => Err(unavailable(what).with_reason(reason)),
            Writes::Hang if waits => std::future::pending().await,
            Writes::Hang => Err(unavailable(what)),
        }
    }

    /// Makes commits wait from now on, until permits are added to the gate.
    pub(crate) fn shut_gate(&self) {
        self.gate.forget_permits(MANY);
    }

    /// Makes pages of the history wait from now on, but for the next ones.
    pub(crate) fn let_through(&self, pages: usize) {
        self.pages.forget_permits(MANY - pages);
    }

    /// Makes look-ups by id wait from now on, until permits are added.
    pub(crate) fn hold_finds(&self) {
        self.finds.forget_permits(MANY);
    }

    fn answers(&self, what: &'static str) -> Result<&MemoryRepository, PortError> {
        if self.unavailable.load(Ordering::SeqCst) { Err(unavailable(what)) } else { Ok(&self.memory) }
    }
}

fn unavailable(what: &'static str) -> PortError {
    PortError::new(PortErrorKind::Unavailable, what, "secret: the password of db.internal is hunter2")
}

#[async_trait]
impl RecordRepository for FaultyStore {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        self.gate.acquire().await.unwrap().forget();
        let left = self.commits_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(unavailable("committing"));
        }
        self.write("committing", false).await?;
        self.answers("committing")?.commit(batch).await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.answers("pinging")?.ping().await
    }

    async fn ping_write(&self) -> Result<(), PortError> {
        self.write("trying to write", true).await?;
        self.ping().await
    }
}

#[async_trait]
impl RecordReader for FaultyStore {
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        assert!(!self.panics.load(Ordering::SeqCst), "this look-up panics");
        self.found.lock().unwrap().push(id.to_string());
        self.finds.acquire().await.unwrap().forget();
        let left = self.finds_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(unavailable("finding"));
        }
        self.answers("finding")?.find(id).await
    }

    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        self.found_together.fetch_add(1, Ordering::SeqCst);
        let mut found = Vec::new();
        for id in ids {
            found.push(self.find(id).await?);
        }
        Ok(found)
    }

    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError> {
        self.answers("reading")?.records(query).await
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError> {
        self.answers("reading")?.summaries(query).await
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        let groups = self.answers("reading")?.groups(query).await?;
        let left = self.parts_left.load(Ordering::SeqCst);
        if left >= MANY {
            return Ok(groups);
        }
        let parts = groups.parts.take(left).chain(stream::iter([Err(unavailable("reading groups"))]));
        Ok(Groups { parts: Box::pin(parts), next: groups.next })
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        // A look at the last record alone is no page: validators take one.
        if query.limit > 1 {
            self.pages.acquire().await.unwrap().forget();
        }
        let left = self.pages_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return Err(unavailable("reading the history"));
        }
        self.answers("reading")?.history(query).await
    }

    async fn head(&self) -> Result<u64, PortError> {
        self.answers("reading")?.head().await
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        self.answers("auditing")?.audit().await
    }
}

#[async_trait]
impl Outbox for FaultyStore {
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        self.answers("renewing")?.renew(owner, lease).await
    }

    async fn claim(&self, owner: &Owner, scope: ClaimScope, batches_max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        self.answers("claiming")?.claim(owner, scope, batches_max).await
    }

    async fn mark_published(&self, owner: &Owner, published: &[OutboxId]) -> Result<(), PortError> {
        self.answers("settling")?.mark_published(owner, published).await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.answers("counting")?.backlog().await
    }
}

#[async_trait]
impl RuleRepository for FaultyStore {
    async fn managed_rules(&self) -> Result<ManagedRules, PortError> {
        self.answers("reading rules")?.managed_rules().await
    }

    async fn amend_rules(&self, edit: RuleEdit) -> Result<RuleEditOutcome, PortError> {
        self.answers("changing rules")?.amend_rules(edit).await
    }
}
