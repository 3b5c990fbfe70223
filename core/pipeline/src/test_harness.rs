//! Test support: a repository and an emitter with scripted faults, and a paused clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tallyhouse_core::ports::{Batch, Clock, CommitOrder, Committed, MessageEmitter, Owner, PortError, PortErrorKind};
use tallyhouse_core::{Arrival, Message, Rule, RuleDraft, RuleSet, Timestamp};
use tallyhouse_testing::{MemoryRepository, MemorySnapshot, generate};
use tokio::time::Instant;

use crate::pipeline::{Pipeline, PipelineParts};
use crate::publish::publisher::Publisher;
use crate::settings::PipelineSettings;

pub(crate) use tallyhouse_testing::fault_injection::{Call, Gate, Gated};

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

/// The scripted behaviour of a store.
pub(crate) struct Script {
    commit_fault: Mutex<Arc<CommitFault>>,
    pub(crate) commit_takes: Mutex<Duration>,
    /// The number of further commits that are carried out without an answer.
    pub(crate) answers_lost: AtomicUsize,
    /// The number of further claims of abandoned entries that are carried out without an answer.
    pub(crate) claims_lost: AtomicUsize,
    /// How long the answer of a claim of own entries is on its way.
    pub(crate) claim_returns_after: Mutex<Duration>,
    /// Another state of the store: the next read of its history sees that one, and the store is as before afterwards.
    pub(crate) detour: Mutex<Option<(Arc<MemoryRepository>, MemorySnapshot)>>,
    /// The name of the emitters of instances that start from now on.
    pub(crate) emitter_name: Mutex<Option<String>>,
    /// While it is set, the store says that it takes no records.
    pub(crate) takes_nothing: AtomicBool,
    /// While it is set, no call returns.
    pub(crate) frozen: tokio::sync::watch::Sender<bool>,
    /// Whether the store is pipelined: ordered batches start before they are committed.
    pub(crate) starts_early: AtomicBool,
    /// Locked during a commit, so that pipelined batches are committed in the order of their starts.
    order: tokio::sync::Mutex<()>,
    /// The pipelined batches in flight: now, and at most.
    early: AtomicUsize,
    pub(crate) early_most: AtomicUsize,
    /// The sizes of the batches of all attempts.
    pub(crate) batches: Mutex<Vec<usize>>,
}

pub(crate) fn faulty_repository(clock: Arc<PausedClock>) -> Arc<FaultyRepository> {
    let gate = Script {
        commit_fault: Mutex::new(Arc::new(|_| None)),
        commit_takes: Mutex::default(),
        answers_lost: AtomicUsize::new(0),
        claims_lost: AtomicUsize::new(0),
        claim_returns_after: Mutex::default(),
        detour: Mutex::default(),
        emitter_name: Mutex::default(),
        takes_nothing: AtomicBool::new(false),
        frozen: tokio::sync::watch::Sender::new(false),
        starts_early: AtomicBool::new(false),
        order: tokio::sync::Mutex::default(),
        early: AtomicUsize::new(0),
        early_most: AtomicUsize::new(0),
        batches: Mutex::default(),
    };
    Arc::new(FaultyRepository { inner: Arc::new(MemoryRepository::new(clock)), gate })
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
        self.fail_if_scripted(batch, "committing a batch")?;
        lose_if_scripted(&self.answers_lost, work.await)
    }

    fn fail_if_scripted(&self, batch: &Batch, what: &'static str) -> Result<(), PortError> {
        let fault = Arc::clone(&self.commit_fault.lock().unwrap());
        fault(batch).map_or(Ok(()), |kind| Err(PortError::new(kind, what, "scripted")))
    }
}

#[async_trait]
impl Gate for Script {
    fn is_pipelined(&self) -> bool {
        self.starts_early.load(Ordering::SeqCst)
    }

    async fn pass_in_order(
        &self,
        batch: Batch,
        order: Arc<dyn CommitOrder>,
        work: BoxFuture<'static, Result<Committed, PortError>>,
    ) -> Result<Option<Committed>, PortError> {
        if !order.may_start() {
            return Ok(None);
        }
        order.start();
        let early = self.early.fetch_add(1, Ordering::SeqCst) + 1;
        self.early_most.fetch_max(early, Ordering::SeqCst);
        let locked = self.order.lock().await;
        let done = if order.may_start() { self.commit(&batch, work).await.map(Some) } else { Ok(None) };
        if !matches!(done, Ok(Some(_))) {
            order.revoke();
        }
        self.early.fetch_sub(1, Ordering::SeqCst);
        drop(locked);
        done
    }

    async fn pass<T: Send + 'static>(
        &self,
        call: Call,
        work: BoxFuture<'static, Result<T, PortError>>,
    ) -> Result<T, PortError> {
        match call {
            Call::Commit(batch) => self.commit(&batch, work).await,
            Call::Ping => {
                self.thaw().await;
                self.fail_if_scripted(&no_records(), "pinging the store")?;
                work.await
            }
            Call::PingWrite => {
                self.thaw().await;
                match self.takes_nothing.load(Ordering::SeqCst) {
                    true => Err(PortError::new(PortErrorKind::Refused, "pinging the store", "scripted")),
                    false => self.fail_if_scripted(&no_records(), "pinging the store"),
                }?;
                work.await
            }
            Call::Write(what) => {
                self.thaw().await;
                let done = work.await;
                if what == "claim own" {
                    let returns_after = *self.claim_returns_after.lock().unwrap();
                    tokio::time::sleep(returns_after).await;
                }
                if what == "claim abandoned" { lose_if_scripted(&self.claims_lost, done) } else { done }
            }
            Call::Read("history") => {
                let detour = self.detour.lock().unwrap().take();
                let back = detour.map(|(store, other)| {
                    let now = store.snapshot();
                    store.restore(other);
                    (store, now)
                });
                let done = work.await;
                if let Some((store, now)) = back {
                    store.restore(now);
                }
                done
            }
            Call::Read(_) => work.await,
        }
    }
}

/// Loses the answer of a call that was carried out, if the script says so.
fn lose_if_scripted<T>(further: &AtomicUsize, done: Result<T, PortError>) -> Result<T, PortError> {
    let lost = further.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |further| further.checked_sub(1)).is_ok();
    if lost { Err(PortError::new(PortErrorKind::Unavailable, "hearing the answer", "cut")) } else { done }
}

fn no_records() -> Batch {
    Batch { arrivals: Arc::new([]), rules: Arc::default(), now: Timestamp::MIN, owner: None, published: Vec::new() }
}

/// An emitter that records the ids of its messages, with scripted failures and delays.
#[derive(Debug, Default)]
pub(crate) struct FaultyEmitter {
    pub(crate) ids: Mutex<Vec<String>>,
    pub(crate) down: AtomicBool,
    pub(crate) failures: AtomicUsize,
    pub(crate) pings: AtomicUsize,
    pub(crate) takes: Mutex<Duration>,
    name: Option<String>,
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

    fn name(&self) -> Option<String> {
        self.name.clone()
    }

    async fn ping(&self) -> Result<(), PortError> {
        self.pings.fetch_add(1, Ordering::SeqCst);
        match self.down.load(Ordering::SeqCst) {
            true => Err(PortError::new(PortErrorKind::Unavailable, "pinging", "scripted")),
            false => Ok(()),
        }
    }
}

/// A running instance: its pipeline, store and emitter.
pub(crate) struct Instance {
    pub(crate) pipeline: Pipeline,
    pub(crate) repository: Arc<FaultyRepository>,
    pub(crate) emitter: Arc<FaultyEmitter>,
    pub(crate) work: tokio::task::JoinHandle<()>,
}

impl Instance {
    pub(crate) fn start(settings: PipelineSettings) -> Self {
        Self::on(faulty_repository(PausedClock::start()), "instance", settings)
    }

    /// Starts an instance on a store that other instances may share.
    pub(crate) fn on(repository: Arc<FaultyRepository>, owner: &str, settings: PipelineSettings) -> Self {
        let name = repository.emitter_name.lock().unwrap().clone();
        let emitter = Arc::new(FaultyEmitter { name, ..FaultyEmitter::default() });
        let rule = RuleDraft { name: "large".to_owned(), threshold: "1000".to_owned(), ..RuleDraft::default() };
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: repository.clone(),
            clock: PausedClock::start(),
            rules: RuleSet::new([Rule::new(rule).unwrap()]).unwrap(),
            publisher: Some(Publisher::new(Owner::new(owner), emitter.clone(), repository.clone())),
            settings,
        });
        Self { pipeline, repository, emitter, work: tokio::spawn(driver.run()) }
    }

    /// Closes the pipeline, and waits for its driver to end.
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

/// Waits, in paused time, for a condition.
#[track_caller]
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _ in 0..10_000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never came true: {caller}");
    }
}
