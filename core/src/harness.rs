//! What the tests of the pipeline run in: a store and an emitter whose faults a test scripts, over paused time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::memory::MemoryRepository;
use crate::message::Message;
use crate::outcome::StoredRecord;
use crate::pipeline::{Pipeline, PipelineParts, PipelineSettings};
use crate::plan::Arrival;
use crate::ports::{
    Batch, Clock, Committed, HistoryQuery, MessageEmitter, OwedBatch, OwedId, OwedStats, Owner, PortError,
    PortErrorKind, RecordRepository, Whose,
};
use crate::query::{AuditPart, GroupQuery, Groups, PartStream, RecordQuery, SummaryQuery};
use crate::rule::{Rule, RuleDraft, RuleSet};
use crate::summary::Summary;
use crate::testing::generate;
use crate::text::{RecordId, Reference};
use crate::time::Timestamp;

/// Tokio's clock, which tests pause.
#[derive(Debug)]
pub(crate) struct PausedClock(Instant);

impl PausedClock {
    pub(crate) fn start() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

#[async_trait]
impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.0.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(1_767_225_600_000_000 + micros).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

type CommitFault = dyn Fn(&Batch) -> Option<PortErrorKind> + Send + Sync;

/// A store in memory, with faults and delays before it.
pub(crate) struct FaultyRepository {
    pub(crate) inner: MemoryRepository,
    commit_fault: Mutex<Arc<CommitFault>>,
    pub(crate) commit_takes: Mutex<Duration>,
    /// How many further commits are done without an answer.
    pub(crate) answers_lost: AtomicUsize,
    /// While it is set nothing is answered, and nothing fails either.
    pub(crate) frozen: tokio::sync::watch::Sender<bool>,
    /// The sizes of the batches that were to be committed.
    pub(crate) batches: Mutex<Vec<usize>>,
}

impl FaultyRepository {
    pub(crate) fn new(clock: Arc<PausedClock>) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryRepository::new(clock),
            commit_fault: Mutex::new(Arc::new(|_| None)),
            commit_takes: Mutex::default(),
            answers_lost: AtomicUsize::new(0),
            frozen: tokio::sync::watch::Sender::new(false),
            batches: Mutex::default(),
        })
    }

    async fn thaw(&self) {
        drop(self.frozen.subscribe().wait_for(|frozen| !frozen).await);
    }

    pub(crate) fn fail_commits(&self, fault: impl Fn(&Batch) -> Option<PortErrorKind> + Send + Sync + 'static) {
        *self.commit_fault.lock().unwrap() = Arc::new(fault);
    }
}

#[async_trait]
impl RecordRepository for FaultyRepository {
    async fn commit(&self, batch: Batch) -> Result<Committed, PortError> {
        let takes = *self.commit_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.thaw().await;
        self.batches.lock().unwrap().push(batch.arrivals.len());
        let fault = Arc::clone(&self.commit_fault.lock().unwrap());
        match fault(&batch) {
            Some(kind) => Err(PortError::new(kind, "committing a batch", "scripted")),
            None => {
                let committed = self.inner.commit(batch).await;
                let lost = self.answers_lost.load(Ordering::SeqCst);
                self.answers_lost.store(lost.saturating_sub(1), Ordering::SeqCst);
                if lost > 0 { Err(PortError::new(PortErrorKind::Unavailable, "committing", "cut")) } else { committed }
            }
        }
    }

    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError> {
        self.inner.find(id).await
    }

    async fn records(&self, query: RecordQuery) -> Result<Vec<StoredRecord>, PortError> {
        self.inner.records(query).await
    }

    async fn summaries(&self, query: SummaryQuery) -> Result<Vec<(Reference, Summary)>, PortError> {
        self.inner.summaries(query).await
    }

    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError> {
        self.inner.groups(query).await
    }

    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError> {
        self.inner.history(query).await
    }

    async fn head(&self) -> Result<u64, PortError> {
        self.inner.head().await
    }

    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<(), PortError> {
        self.thaw().await;
        self.inner.renew(owner, lease).await
    }

    async fn claim(&self, owner: &Owner, whose: Whose, batches_max: usize) -> Result<Vec<OwedBatch>, PortError> {
        self.thaw().await;
        self.inner.claim(owner, whose, batches_max).await
    }

    async fn settle(&self, owner: &Owner, published: &[OwedId]) -> Result<(), PortError> {
        self.thaw().await;
        self.inner.settle(owner, published).await
    }

    async fn owed(&self) -> Result<OwedStats, PortError> {
        self.inner.owed().await
    }

    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError> {
        self.inner.audit().await
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.thaw().await;
        let fault = Arc::clone(&self.commit_fault.lock().unwrap());
        let empty = Batch {
            arrivals: Arc::new([]),
            rules: Arc::default(),
            now: Timestamp::MIN,
            owner: None,
            settled: Vec::new(),
        };
        match fault(&empty) {
            Some(kind) => Err(PortError::new(kind, "asking the store", "scripted")),
            None => Ok(()),
        }
    }
}

/// An emitter that keeps the ids of what it published, fails while it is told to, and takes its time.
#[derive(Debug, Default)]
pub(crate) struct FaultyEmitter {
    pub(crate) ids: Mutex<Vec<String>>,
    pub(crate) down: AtomicBool,
    pub(crate) failures: AtomicUsize,
    pub(crate) pings: AtomicUsize,
    pub(crate) takes: Mutex<Duration>,
}

#[async_trait]
impl MessageEmitter for FaultyEmitter {
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        if self.down.load(Ordering::SeqCst) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Err(PortError::new(PortErrorKind::Unavailable, "publishing", "scripted"));
        }
        self.ids.lock().unwrap().extend(messages.iter().map(Message::id));
        Ok(())
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.pings.fetch_add(1, Ordering::SeqCst);
        match self.down.load(Ordering::SeqCst) {
            true => Err(PortError::new(PortErrorKind::Unavailable, "asking", "scripted")),
            false => Ok(()),
        }
    }
}

/// One instance: its pipeline, store and emitter, running.
pub(crate) struct Instance {
    pub(crate) pipeline: Pipeline,
    pub(crate) repository: Arc<FaultyRepository>,
    pub(crate) emitter: Arc<FaultyEmitter>,
    pub(crate) work: tokio::task::JoinHandle<()>,
}

impl Instance {
    pub(crate) fn start(settings: PipelineSettings) -> Self {
        Self::on(FaultyRepository::new(PausedClock::start()), "instance", settings)
    }

    /// Starts an instance on a store that others may use too.
    pub(crate) fn on(repository: Arc<FaultyRepository>, owner: &str, settings: PipelineSettings) -> Self {
        let emitter = Arc::new(FaultyEmitter::default());
        let rule = RuleDraft { name: "large".to_owned(), threshold: "1000".to_owned(), ..RuleDraft::default() };
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: repository.clone(),
            clock: PausedClock::start(),
            rules: RuleSet::new([Rule::new(rule).unwrap()]).unwrap(),
            emitter: Some((Owner::new(owner), emitter.clone())),
            settings,
        });
        Self { pipeline, repository, emitter, work: tokio::spawn(driver.run()) }
    }

    /// Stops as a host does, and waits for the work to end.
    pub(crate) async fn stop(self) {
        self.pipeline.close();
        self.work.await.unwrap();
    }

    pub(crate) fn published(&self) -> Vec<String> {
        self.emitter.ids.lock().unwrap().clone()
    }
}

/// Makes `n` records of a few keys, with ids `prefix-0` to `prefix-(n-1)`.
pub(crate) fn arrivals(prefix: &str, n: usize) -> Vec<Arrival> {
    let record = |i: usize| generate::record(&format!("{prefix}-{i}"), &format!("d{}", i % 3), "", "1.5", "EUR");
    (0..n).map(|i| record(i).into()).collect()
}

/// Waits, in paused time, until something is so.
#[track_caller]
pub(crate) fn eventually(mut so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..10_000 {
            if so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never came true: {caller}");
    }
}
