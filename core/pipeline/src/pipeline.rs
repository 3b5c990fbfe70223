//! The pipeline: takes records, commits them, answers with their outcomes, and publishes their messages.
//!
//! A host builds it from its ports, spawns the futures of the [`Driver`] on its runtime, and submits records through an
//! [`Ingress`]. The life of a record is `Writer::run` in `commit/writer.rs`, that of its messages `Relay::run` in
//! `publish/relay.rs`.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _, join_all};
use tallyhouse_core::ports::{Clock, RecordRepository};
use tallyhouse_core::{Arrival, Outcome, RuleBook, RuleSet};
use tokio::sync::{mpsc, watch};

use crate::commit::bisect::PoisonTracker;
use crate::commit::intake::{Intake, IntakeHandle};
use crate::commit::writer::Writer;
use crate::dependency::breaker::{Breaker, BreakerSettings, BreakerState, Breakers, probe_storage};
use crate::ingress::Ingress;
use crate::meter::{Meter, Readings};
use crate::publish::handoff::Handoff;
use crate::publish::publisher::Publisher;
use crate::publish::relay::Relay;
use crate::settings::PipelineSettings;
use crate::submit_error::SubmitError;

/// The name of ingresses without a name of their own.
const LIBRARY: &str = "library";

/// The parts of a pipeline.
#[derive(Clone)]
pub struct PipelineParts {
    /// Commits batches.
    pub repository: Arc<dyn RecordRepository>,
    /// Tells the time, and waits.
    pub clock: Arc<dyn Clock>,
    /// The host's own alert rules. The managed rules in the store are in force, too; a managed rule replaces an own rule of
    /// the same name.
    pub rules: RuleSet,
    /// Publishes messages; `None` leaves them in the outbox for another instance.
    pub publisher: Option<Publisher>,
    /// The limits and waits.
    pub settings: PipelineSettings,
}

impl PipelineParts {
    /// Takes the parts that every pipeline needs: no rules of the host's own, no publisher, default settings.
    pub fn new(repository: Arc<dyn RecordRepository>, clock: Arc<dyn Clock>) -> Self {
        Self { repository, clock, rules: RuleSet::default(), publisher: None, settings: PipelineSettings::default() }
    }
}

impl std::fmt::Debug for PipelineParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The way into the service. Clones are the same pipeline. It is closed by [`Pipeline::close`], or when the last clone and
/// every [`Ingress`] are dropped.
///
/// ```
/// use std::sync::Arc;
/// use tallyhouse_pipeline::{Outcome, Pipeline, PipelineParts, TokioClock};
/// use tallyhouse_testing::{MemoryRepository, generate};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(TokioClock::start());
/// let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository, clock));
/// let work = tokio::spawn(driver.run());
///
/// let record = generate::record("r-1", "shop-9", "", "12.50", "EUR");
/// assert!(matches!(pipeline.process(record.clone()).await?, Outcome::Processed(_)));
/// assert!(matches!(pipeline.process(record).await?, Outcome::Duplicate { .. }));
///
/// pipeline.close();
/// work.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pipeline {
    intake: Arc<IntakeHandle>,
    breaker: Breaker,
    breakers: Breakers,
    meter: Arc<Meter>,
    /// The ingress of [`Pipeline::process`].
    library: Ingress,
    settings: PipelineSettings,
    commits: watch::Receiver<u64>,
}

/// The work of a pipeline: futures that the host spawns, and that end when the pipeline is closed and every submission that
/// it accepted has its answer. Some messages may then be left in the outbox: see [`Pipeline::close`].
///
/// If one of them panics, or is dropped before it has ended, the pipeline stops: submissions that wait, and all further
/// ones, fail with [`SubmitError::Stopped`].
#[must_use = "a pipeline does nothing until its futures run"]
pub struct Driver {
    tasks: Vec<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("tasks", &self.tasks.len()).finish()
    }
}

impl Pipeline {
    /// Builds a pipeline. Nothing runs before its [`Driver`] does.
    pub fn new(parts: PipelineParts) -> (Self, Driver) {
        let PipelineParts { repository, clock, rules, publisher, settings } = parts;
        let intake = Arc::new(Intake::new(Arc::clone(&clock), &settings));
        let meter = Arc::new(Meter::new());
        let (committed, commits) = watch::channel(0);
        let (fresh_tx, fresh_rx) = mpsc::channel(settings.relay_batches_max.max(1));
        let handoff =
            publisher.as_ref().map(|publisher| Handoff::new(publisher, &meter, fresh_tx, settings.relay_bytes_max));

        let poison = Arc::new(PoisonTracker::default());
        let PipelineSettings { open_after, ping_timeout, retry, commit_retry_timeout, .. } = settings;
        let usual = BreakerSettings { open_after, ping_timeout, retry };
        let of_storage = BreakerSettings { open_after: commit_retry_timeout, ..usual };
        let breakers = Breakers::new(Arc::clone(&clock), of_storage, usual);
        let breaker = breakers.storage();
        let probe = probe_storage(breaker.clone(), Arc::clone(&repository), intake.close_signal());
        let mut tasks = vec![probe.boxed()];
        let rules = Arc::new(RuleBook::new(rules));
        for _ in 0..settings.writers.max(1) {
            let writer = Writer {
                intake: Arc::clone(&intake),
                repository: Arc::clone(&repository),
                clock: Arc::clone(&clock),
                rules: Arc::clone(&rules),
                handoff: handoff.clone(),
                committed: committed.clone(),
                breaker: breaker.clone(),
                poison: Arc::clone(&poison),
                meter: Arc::clone(&meter),
                settings,
            };
            tasks.push(writer.run().boxed());
        }
        if let (Some(handoff), Some(publisher)) = (handoff, publisher) {
            let ours = [breaker.clone(), breakers.named("publishing")];
            let relay = Relay::new(publisher, clock, &handoff, intake.close_signal(), settings, ours);
            tasks.push(relay.run(fresh_rx).boxed());
        }

        let tasks = tasks.into_iter().map(|task| stopping(Arc::clone(&intake), task)).collect();
        let intake = Arc::new(IntakeHandle(intake));
        let library = Ingress::new(LIBRARY, &intake, &breaker, &meter, &settings);
        (Self { intake, breaker, breakers, meter, library, settings, commits }, Driver { tasks })
    }

    /// Processes one record exactly once: waits for capacity in the intake and for the commit.
    ///
    /// # Errors
    /// The record has no outcome, and processing it again is safe.
    pub async fn process(&self, arrival: impl Into<Arrival>) -> Result<Outcome, SubmitError> {
        let outcomes = self.library.submit(vec![arrival.into()]).await?;
        // A repository returns one outcome for each record: see `Committed`.
        outcomes.into_iter().next().ok_or(SubmitError::Unavailable(None))
    }

    /// Opens an ingress with a capacity of its own in the intake. It takes memory for the life of the pipeline: open one for each
    /// way in, not for each sender. Its records are counted under the name `library`.
    #[must_use]
    pub fn ingress(&self) -> Ingress {
        self.named_ingress(LIBRARY)
    }

    /// Opens an ingress as [`Pipeline::ingress`] does, with a name of its own in [`Pipeline::readings`].
    #[must_use]
    pub fn named_ingress(&self, name: &'static str) -> Ingress {
        Ingress::new(name, &self.intake, &self.breaker, &self.meter, &self.settings)
    }

    /// Reads the counts, and the records that wait now. Cheap: some hundred numbers.
    #[must_use]
    pub fn readings(&self) -> Readings {
        self.meter.read()
    }

    /// Returns a watch whose value changes after every commit that stored something.
    #[must_use]
    pub fn watch_commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Returns a watch on the circuit breaker of storage.
    #[must_use]
    pub fn watch_breaker(&self) -> watch::Receiver<BreakerState> {
        self.breaker.watch()
    }

    /// Returns the circuit breakers of all dependencies: `storage`, `publishing` if there is a publisher, and those that the
    /// host names for its queues.
    #[must_use]
    pub fn breakers(&self) -> Breakers {
        self.breakers.clone()
    }

    /// Returns the number of records that wait in the intake.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.intake.depth()
    }

    /// Takes no more records. The records that wait are still committed; then the futures of the [`Driver`] end.
    ///
    /// From now on a failed attempt to publish is not repeated. Messages that the emitter does not take at once stay in the
    /// outbox, and the next instance on the store publishes them. Followers of a [`Feed`](crate::Feed) do not end, since
    /// other instances may commit: the host stops them.
    pub fn close(&self) {
        self.intake.close();
    }
}

impl Driver {
    /// Returns the futures, each to be spawned by itself.
    #[must_use]
    pub fn into_tasks(self) -> Vec<BoxFuture<'static, ()>> {
        self.tasks
    }

    /// Runs all futures in one.
    pub async fn run(self) {
        join_all(self.tasks).await;
    }
}

/// Wraps a task of a driver: if the task panics, or is dropped before it has ended, the pipeline stops. Without one of
/// its tasks it would keep every submission waiting for ever.
fn stopping(intake: Arc<Intake>, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    let guard = StopOnDrop(Some(intake));
    async move {
        task.await;
        guard.disarm();
    }
    .boxed()
}

struct StopOnDrop(Option<Arc<Intake>>);

impl StopOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(intake) = &self.0 {
            intake.stop();
        }
    }
}

#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod tests;
