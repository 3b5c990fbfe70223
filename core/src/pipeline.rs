//! The pipeline: from a record that is submitted to its outcome, with the messages that it owes on their way.
//!
//! A host builds it from its ports, spawns the futures of the [`Driver`] on its runtime, and submits records through a
//! [`Door`]. The whole life of a record is in `writer.rs`; that of its messages in `relay.rs`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, join_all};
use tokio::sync::{mpsc, watch};

use crate::breaker::{Breaker, BreakerSettings, BreakerState, Breakers, probe_storage};
use crate::intake::{Door, Intake, SubmitError};
use crate::isolate::Suspects;
use crate::meter::{Meter, Readings};
use crate::outbox::Outbox;
use crate::outcome::Outcome;
use crate::plan::Arrival;
use crate::ports::{Clock, MessageEmitter, Owner, RecordRepository};
use crate::relay::Relay;
use crate::retry::RetryPolicy;
use crate::rule::RuleSet;
use crate::rule_book::RuleBook;
use crate::writer::Writer;

/// The name of doors that have none of their own.
const LIBRARY: &str = "library";

/// How the pipeline batches, waits and bounds. The defaults serve a host that changes none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipelineSettings {
    /// How many batches are under way at once. With two, a store with one writer may prepare the next one meanwhile.
    /// Default 1.
    pub writers: usize,
    /// How many records are committed together at most. Default 1,000: from there on batches gain little.
    pub batch_records_max: usize,
    /// How many records must wait for a further batch to be begun while others are being committed; without them it
    /// begins 50 ms after the last one. Default 250: below, one batch of all that waits costs less than two of half.
    pub join_records_min: usize,
    /// How many records wait at each door at most. Default 20,000.
    pub intake_records_max: usize,
    /// How many bytes of records wait at each door at most. Default 32 MiB.
    pub intake_bytes_max: usize,
    /// For how long a commit is tried again before its records are answered with [`SubmitError::Unavailable`]. Default
    /// 5 s.
    pub commit_patience: Duration,
    /// The waits between these tries, those to publish and those to ask a dependency that is away.
    pub retry: RetryPolicy,
    /// For how long publishing, or a queue, fails before its circuit breaker opens; storage's opens after
    /// `commit_patience`. Default 5 s.
    pub open_after: Duration,
    /// How long a commit may take before storage is asked whether it answers at all, and how long any dependency may
    /// take for such an answer before it counts as away. Default 2 s.
    pub silence_max: Duration,
    /// For how long this instance's owed messages are its own after it was last heard of. Default 10 s.
    pub lease: Duration,
    /// How long published batches wait to be settled together with the next commit. Default 200 ms.
    pub settle_wait: Duration,
    /// How many committed batches wait in memory to be published; those beyond are read again from the store. Default
    /// 64.
    pub relay_batches_max: usize,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            writers: 1,
            batch_records_max: 1_000,
            join_records_min: 250,
            intake_records_max: 20_000,
            intake_bytes_max: 32 * 1024 * 1024,
            commit_patience: Duration::from_secs(5),
            retry: RetryPolicy::default(),
            open_after: Duration::from_secs(5),
            silence_max: Duration::from_secs(2),
            lease: Duration::from_secs(10),
            settle_wait: Duration::from_millis(200),
            relay_batches_max: 64,
        }
    }
}

/// What a pipeline is built of.
#[derive(Clone)]
pub struct PipelineParts {
    /// Where records are kept.
    pub repository: Arc<dyn RecordRepository>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The host's own alert rules. Those that are managed in the store are in force as well, in place of own ones of
    /// the same name.
    pub rules: RuleSet,
    /// Who publishes, and by which name it owes messages; `None` leaves them to another instance.
    pub emitter: Option<(Owner, Arc<dyn MessageEmitter>)>,
    /// How to batch, wait and bound.
    pub settings: PipelineSettings,
}

impl std::fmt::Debug for PipelineParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipelineParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The way into the service. Clones are the same pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    intake: Arc<Intake>,
    breaker: Breaker,
    breakers: Breakers,
    meter: Arc<Meter>,
    /// The door of [`Pipeline::process`].
    library: Door,
    settings: PipelineSettings,
    commits: watch::Receiver<u64>,
}

/// The work of a pipeline: futures that the host spawns, and that end when the pipeline is closed and all that was
/// accepted is done.
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
        let PipelineParts { repository, clock, rules, emitter, settings } = parts;
        let intake = Arc::new(Intake::new(Arc::clone(&clock), &settings));
        let meter = Arc::new(Meter::new());
        let (committed, commits) = watch::channel(0);
        let (owner, emitter) = emitter.unzip();
        let (fresh_tx, fresh_rx) = mpsc::channel(settings.relay_batches_max.max(1));
        let outbox = owner.map(|owner| Outbox::new(owner, &meter, fresh_tx));

        let suspects = Arc::new(Suspects::default());
        let PipelineSettings { open_after, silence_max, retry, commit_patience, .. } = settings;
        let usual = BreakerSettings { open_after, silence_max, retry };
        let breakers = Breakers::new(Arc::clone(&clock), usual);
        let breaker = breakers.named_with("storage", BreakerSettings { open_after: commit_patience, ..usual });
        let probe = probe_storage(breaker.clone(), Arc::clone(&repository), Arc::clone(&intake));
        let mut tasks = vec![probe.boxed()];
        let rules = Arc::new(RuleBook::new(rules));
        for _ in 0..settings.writers.max(1) {
            let writer = Writer {
                intake: Arc::clone(&intake),
                repository: Arc::clone(&repository),
                clock: Arc::clone(&clock),
                rules: Arc::clone(&rules),
                outbox: outbox.clone(),
                committed: committed.clone(),
                breaker: breaker.clone(),
                suspects: Arc::clone(&suspects),
                meter: Arc::clone(&meter),
                settings,
            };
            tasks.push(writer.run().boxed());
        }
        if let (Some(outbox), Some(emitter)) = (outbox, emitter) {
            let ours = [breaker.clone(), breakers.named("publishing")];
            let relay = Relay::new(repository, emitter, clock, &outbox, Arc::clone(&intake), settings, ours);
            tasks.push(relay.run(fresh_rx).boxed());
        }

        let library = Door::new(LIBRARY, &intake, &breaker, &meter, &settings);
        (Self { intake, breaker, breakers, meter, library, settings, commits }, Driver { tasks })
    }

    /// Processes one record exactly once: waits for room in the intake and for the commit.
    ///
    /// # Errors
    /// The record has no outcome, and processing it again is safe.
    pub async fn process(&self, arrival: impl Into<Arrival>) -> Result<Outcome, SubmitError> {
        let outcomes = self.library.submit(vec![arrival.into()]).await?;
        // One record, one outcome: see `Committed`.
        outcomes.into_iter().next().ok_or(SubmitError::Unavailable)
    }

    /// Opens a door with room of its own in the intake. Doors are for the life of the pipeline: open one for each way
    /// in. What comes by it is counted under the name `library`.
    #[must_use]
    pub fn door(&self) -> Door {
        self.named_door(LIBRARY)
    }

    /// Opens a door as [`Pipeline::door`] does, which is counted under a name of its own: see [`Pipeline::readings`].
    #[must_use]
    pub fn named_door(&self, name: &'static str) -> Door {
        Door::new(name, &self.intake, &self.breaker, &self.meter, &self.settings)
    }

    /// Reads what has been counted, and what waits now. Cheap: some hundred numbers.
    #[must_use]
    pub fn readings(&self) -> Readings {
        self.meter.read()
    }

    /// Returns a watch whose value changes after every commit that stored something.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Returns a watch on the circuit breaker in front of storage.
    #[must_use]
    pub fn breaker(&self) -> watch::Receiver<BreakerState> {
        self.breaker.watch()
    }

    /// Returns the circuit breakers of all dependencies: `storage`, `publishing` where there is an emitter, and those
    /// that hosts name for their queues.
    #[must_use]
    pub fn breakers(&self) -> Breakers {
        self.breakers.clone()
    }

    /// Returns how many records wait in the intake.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.intake.depth()
    }

    /// Takes no more records. Those that wait are still committed, and their messages published; then the futures of
    /// the [`Driver`] end.
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

    /// Runs all of them in one future.
    pub async fn run(self) {
        join_all(self.tasks).await;
    }
}

#[cfg(test)]
mod tests;
