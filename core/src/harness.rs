//! What the tests of the pipeline run in: a store and an emitter whose faults a test scripts, over paused time.

mod gated;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::time::Instant;

pub(crate) use crate::harness::gated::{Call, Gate, Gated};

use crate::memory::MemoryRepository;
use crate::message::Message;
use crate::pipeline::{Pipeline, PipelineParts, PipelineSettings};
use crate::plan::Arrival;
use crate::ports::{Batch, Clock, MessageEmitter, Owner, PortError, PortErrorKind};
use crate::rule::{Rule, RuleDraft, RuleSet};
use crate::testing::generate;
use crate::time::Timestamp;
use crate::turn::Turns;

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
pub(crate) type FaultyRepository = Gated<Script>;

/// What a test wants of the calls of a store.
pub(crate) struct Script {
    commit_fault: Mutex<Arc<CommitFault>>,
    pub(crate) commit_takes: Mutex<Duration>,
    /// How many further commits are done without an answer.
    pub(crate) answers_lost: AtomicUsize,
    /// How many further claims of what others left are done without an answer.
    pub(crate) claims_lost: AtomicUsize,
    /// While it is set nothing is answered, and nothing fails either.
    pub(crate) frozen: tokio::sync::watch::Sender<bool>,
    /// Whether batches begin before they are committed, as their turns allow.
    pub(crate) begins_early: AtomicBool,
    /// Had by the batch that is being committed, in the order in which they begin.
    order: tokio::sync::Mutex<()>,
    /// How many batches with turns there are now that have begun early, and the most there were.
    early: AtomicUsize,
    pub(crate) early_most: AtomicUsize,
    /// The sizes of the batches that were to be committed.
    pub(crate) batches: Mutex<Vec<usize>>,
}

impl FaultyRepository {
    pub(crate) fn new(clock: Arc<PausedClock>) -> Arc<Self> {
        let gate = Script {
            commit_fault: Mutex::new(Arc::new(|_| None)),
            commit_takes: Mutex::default(),
            answers_lost: AtomicUsize::new(0),
            claims_lost: AtomicUsize::new(0),
            frozen: tokio::sync::watch::Sender::new(false),
            begins_early: AtomicBool::new(false),
            order: tokio::sync::Mutex::default(),
            early: AtomicUsize::new(0),
            early_most: AtomicUsize::new(0),
            batches: Mutex::default(),
        };
        Arc::new(Self { inner: Arc::new(MemoryRepository::new(clock)), gate })
    }
}

impl Script {
    async fn thaw(&self) {
        drop(self.frozen.subscribe().wait_for(|frozen| !frozen).await);
    }

    pub(crate) fn fail_commits(&self, fault: impl Fn(&Batch) -> Option<PortErrorKind> + Send + Sync + 'static) {
        *self.commit_fault.lock().unwrap() = Arc::new(fault);
    }

    async fn commit<T>(&self, batch: &Batch, work: BoxFuture<'static, Result<T, PortError>>) -> Result<T, PortError> {
        let takes = *self.commit_takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.thaw().await;
        self.batches.lock().unwrap().push(batch.arrivals.len());
        self.fail_if_told(batch, "committing a batch")?;
        lose_if_told(&self.answers_lost, work.await)
    }

    fn fail_if_told(&self, batch: &Batch, what: &'static str) -> Result<(), PortError> {
        let fault = Arc::clone(&self.commit_fault.lock().unwrap());
        fault(batch).map_or(Ok(()), |kind| Err(PortError::new(kind, what, "scripted")))
    }
}

#[async_trait]
impl Gate for Script {
    async fn pass<T: Send + 'static>(
        &self,
        call: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        match call {
            Call::Commit(batch) if self.begins_early.load(Ordering::SeqCst) => {
                if !batch.turns.have_come() {
                    return out_of_turn();
                }
                batch.turns.begin();
                let early = self.early.fetch_add(1, Ordering::SeqCst) + 1;
                self.early_most.fetch_max(early, Ordering::SeqCst);
                let order = self.order.lock().await;
                let done = if batch.turns.have_come() { self.commit(&batch, work).await } else { out_of_turn() };
                if done.is_err() {
                    batch.turns.take_back();
                }
                self.early.fetch_sub(1, Ordering::SeqCst);
                drop(order);
                done
            }
            Call::Commit(batch) => self.commit(&batch, work).await,
            Call::Ping => {
                self.thaw().await;
                self.fail_if_told(&no_records(), "asking the store")?;
                work.await
            }
            Call::Write(what) => {
                self.thaw().await;
                let done = work.await;
                if what == "claim abandoned" { lose_if_told(&self.claims_lost, done) } else { done }
            }
            Call::Read(_) => work.await,
        }
    }
}

/// Loses the answer of a call that was done, if more of them are to be lost.
fn lose_if_told<T>(further: &AtomicUsize, done: Result<T, PortError>) -> Result<T, PortError> {
    let lost = further.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |further| further.checked_sub(1)).is_ok();
    if lost { Err(PortError::new(PortErrorKind::Unavailable, "hearing the answer", "cut")) } else { done }
}

fn out_of_turn<T>() -> Result<T, PortError> {
    Err(PortError::new(PortErrorKind::OutOfTurn, "committing a batch", "what comes before is not sure"))
}

fn no_records() -> Batch {
    Batch {
        arrivals: Arc::new([]),
        rules: Arc::default(),
        now: Timestamp::MIN,
        owner: None,
        settled: Vec::new(),
        turns: Turns::default(),
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
