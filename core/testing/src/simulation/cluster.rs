//! The running instances of one world: they start, crash, stop and freeze.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallyhouse_core::ports::{Clock as _, Owner};
use tallyhouse_core::{Arrival, Outcome, Rule, RuleDraft, RuleSet};
use tallyhouse_pipeline::{
    Breaker, BreakerState, Consumer, Feed, Ingress, Pipeline, PipelineParts, PipelineSettings, Publisher, RetryPolicy,
    SubmitError,
};

use crate::doubles::fault_injection::Gated;
use crate::doubles::generate::Generator;
use crate::memory::source::ScriptedSource;
use crate::simulation::executor::{Group, VirtualClock};
use crate::simulation::ports::{SeededEmitter, SeededSource, StorageGate};
use crate::simulation::world::{CLIENTS, World};
use futures::future::{Either, select};
use tokio::sync::{oneshot, watch};

/// The number of the group of an instance's connections is that of the instance's group plus this.
const CONNECTIONS: u32 = 1_000_000;

pub(super) struct Cluster {
    pub(super) world: Arc<World>,
    pub(super) queue: ScriptedSource,
    slots: Mutex<Vec<Option<Arc<Instance>>>>,
    /// Groups of instances that were told to stop, and have not ended.
    stopping: Mutex<Vec<Group>>,
    groups: AtomicU32,
    settings: PipelineSettings,
    consumers: u64,
}

/// One running instance, from its start to its end.
pub(super) struct Instance {
    pub(super) name: Arc<str>,
    group: Group,
    /// The connections of its readers, which a stop cuts.
    pub(super) connections: Group,
    pub(super) pipeline: Pipeline,
    ingress: Ingress,
    pub(super) feed: Feed,
    pub(super) repository: Arc<Gated<StorageGate>>,
    pub(super) sources: Vec<Arc<SeededSource>>,
    pub(super) clock: VirtualClock,
    stop: watch::Sender<bool>,
}

impl Cluster {
    pub(super) fn start(world: &Arc<World>) -> Arc<Self> {
        let (instances, consumers) = world.draw(|rng| (1 + rng.below(4), rng.below(3)));
        let settings = world.draw(settings);
        world.note(|| format!("{instances} instances with {consumers} more consumers each and {settings:?}"));
        let cluster = Arc::new(Self {
            world: Arc::clone(world),
            queue: ScriptedSource::new(Arc::new(world.clock())),
            slots: Mutex::new((0..instances).map(|_| None).collect()),
            stopping: Mutex::default(),
            groups: AtomicU32::new(10),
            settings,
            consumers: 1 + consumers,
        });
        cluster.start_missing();
        cluster
    }

    pub(super) fn lease(&self) -> Duration {
        self.settings.lease
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.lock().unwrap().len()
    }

    pub(super) fn at(&self, slot: usize) -> Option<Arc<Instance>> {
        self.slots.lock().unwrap()[slot].clone()
    }

    pub(super) fn any_slot(&self) -> usize {
        let slots = self.slots() as u64;
        usize::try_from(self.world.draw(|rng| rng.below(slots))).unwrap()
    }

    /// Returns a random instance, if it runs.
    pub(super) fn any(&self) -> Option<Arc<Instance>> {
        self.at(self.any_slot())
    }

    pub(super) fn start_missing(&self) {
        (0..self.slots()).for_each(|slot| self.start_at(slot));
    }

    /// Starts an instance under a new name, unless one runs in this slot.
    pub(super) fn start_at(&self, slot: usize) {
        if self.at(slot).is_none() {
            let group = Group(self.groups.fetch_add(1, Ordering::SeqCst));
            let instance = Instance::start(self, group);
            self.world.note(|| format!("{} starts", instance.name));
            self.slots.lock().unwrap()[slot] = Some(Arc::new(instance));
        }
    }

    /// Kills an instance; another takes its place after a while.
    pub(super) fn crash(self: &Arc<Self>, slot: usize) {
        let Some(instance) = self.slots.lock().unwrap()[slot].take() else { return };
        self.world.note(|| format!("{} crashes", instance.name));
        self.world.executor.kill(instance.group);
        self.world.executor.kill(instance.connections);
        self.start_later(slot);
    }

    /// Stops an instance gracefully; another takes its place after a while.
    pub(super) fn stop(self: &Arc<Self>, slot: usize) {
        let Some(instance) = self.slots.lock().unwrap()[slot].take() else { return };
        self.stopping.lock().unwrap().push(instance.group);
        instance.stop(&self.world);
        self.start_later(slot);
    }

    fn start_later(self: &Arc<Self>, slot: usize) {
        let (cluster, wait) = (Arc::clone(self), self.world.below(Duration::from_secs(8)));
        self.world.executor.spawn(CLIENTS, async move {
            cluster.world.clock().sleep(wait).await;
            cluster.start_at(slot);
        });
    }

    pub(super) fn freeze(&self, slot: usize) {
        let Some(instance) = self.at(slot) else { return };
        let until = self.world.now() + self.world.below(3 * self.lease());
        self.world.note(|| format!("{} freezes until {until:?}", instance.name));
        self.world.executor.freeze(instance.group, until);
        self.world.executor.freeze(instance.connections, until);
    }

    /// Stops all of them.
    pub(super) fn stop_all(&self) {
        let running: Vec<_> = self.slots.lock().unwrap().iter_mut().filter_map(Option::take).collect();
        for instance in running {
            self.stopping.lock().unwrap().push(instance.group);
            instance.stop(&self.world);
        }
    }

    /// Returns how many tasks are left of instances that were told to stop.
    pub(super) fn tasks_left(&self) -> usize {
        self.stopping.lock().unwrap().iter().map(|group| self.world.executor.alive(*group)).sum()
    }

    /// Says whether every instance runs, and none of its breakers is open.
    pub(super) fn is_well(&self) -> bool {
        let is_well = |breaker: &Breaker| breaker.state() != BreakerState::Open;
        let well = |instance: &Instance| instance.pipeline.breakers().all().iter().all(is_well);
        self.slots.lock().unwrap().iter().all(|slot| slot.as_deref().is_some_and(well))
    }
}

impl Instance {
    fn start(cluster: &Cluster, group: Group) -> Self {
        let (world, settings) = (&cluster.world, cluster.settings);
        let name: Arc<str> = Arc::from(format!("i{}", group.0));
        let ahead = world.below(Duration::from_secs(2));
        let own_clock = VirtualClock::new(&world.executor, ahead);
        let clock = Arc::new(own_clock.clone());
        let repository = Arc::new(Gated { inner: Arc::clone(&world.store), gate: StorageGate::new(world, &name) });
        let (pipeline, driver) = Pipeline::new(PipelineParts {
            repository: repository.clone(),
            clock: clock.clone(),
            rules: world.draw(rules),
            publisher: Some(Publisher::new(
                Owner::new(&name),
                Arc::new(SeededEmitter::new(world, &name)),
                repository.clone(),
            )),
            settings,
        });
        for task in driver.into_tasks() {
            world.executor.spawn(group, task);
        }
        let (stop, stopped) = watch::channel(false);
        let source = |_| Arc::new(SeededSource::new(world, &name, &cluster.queue));
        let sources: Vec<_> = (0..cluster.consumers).map(source).collect();
        let queue_ingress = pipeline.ingress();
        for source in &sources {
            let consumer = Consumer {
                source: source.clone(),
                ingress: queue_ingress.clone(),
                repository: repository.clone(),
                clock: clock.clone(),
                retry: settings.retry,
                breaker: pipeline.breakers().named("queue"),
            };
            world.executor.spawn(group, consumer.run(stopped.clone()));
        }
        let feed = Feed::new(repository.clone(), clock, pipeline.watch_commits(), Duration::from_secs(1));
        let connections = Group(group.0 + CONNECTIONS);
        Self {
            name,
            group,
            connections,
            ingress: pipeline.ingress(),
            pipeline,
            feed,
            repository,
            sources,
            clock: own_clock,
            stop,
        }
    }

    fn stop(&self, world: &World) {
        world.note(|| format!("{} stops", self.name));
        // There may be no consumer left to receive the signal.
        self.stop.send_replace(true);
        world.executor.kill(self.connections);
        self.pipeline.close();
    }

    /// Sends records to this instance's ingress as a client does; `None` if the connection ends or the client times out
    /// before an answer.
    pub(super) async fn submit(
        &self,
        world: &Arc<World>,
        arrivals: Vec<Arrival>,
    ) -> Option<Result<Vec<Outcome>, SubmitError>> {
        let (reply, answer) = oneshot::channel();
        let (ingress, pipeline, way) = (self.ingress.clone(), self.pipeline.clone(), world.draw(|rng| rng.below(3)));
        let handler = world.executor.spawn(self.group, async move {
            let answered = match way {
                0 => ingress.submit_now(arrivals).await,
                1 if arrivals.len() == 1 => match arrivals.into_iter().next() {
                    Some(arrival) => pipeline.process(arrival).await.map(|outcome| vec![outcome]),
                    None => Ok(Vec::new()),
                },
                _ => ingress.submit(arrivals).await,
            };
            // The client may have gone.
            drop(reply.send(answered));
        });
        let time_out = if world.chance(100) { world.below(Duration::from_secs(1)) } else { Duration::from_secs(60) };
        let clock = world.clock();
        match select(answer, clock.sleep(time_out)).await {
            Either::Left((answer, _)) => answer.ok(),
            Either::Right(((), _)) => {
                // A server that notices the time-out drops the call; otherwise the call goes on.
                if world.chance(500) {
                    world.executor.abort(handler);
                }
                None
            }
        }
    }
}

fn settings(rng: &mut Generator) -> PipelineSettings {
    let mut millis = |of: &[u64]| Duration::from_millis(*rng.pick(of));
    let (commit_retry_timeout, lease, mark_published_delay) =
        (millis(&[500, 2_000, 5_000]), millis(&[2_000, 6_000]), millis(&[50, 200]));
    let (open_after, ping_timeout) = (millis(&[500, 5_000]), millis(&[100, 2_000]));
    let retry = RetryPolicy { wait_min: millis(&[10, 50]), wait_max: millis(&[200, 2_000]) };
    let mut number = |of: &[usize]| *rng.pick(of);
    PipelineSettings {
        writers: number(&[1, 1, 2, 4]),
        batch_records_max: number(&[1, 3, 20, 1_000]),
        join_records_min: number(&[1, 3, 250]),
        intake_records_max: number(&[4, 20, 1_000]),
        intake_bytes_max: number(&[4_000, 1_000_000]),
        commit_retry_timeout,
        retry,
        lease,
        open_after,
        ping_after: ping_timeout,
        ping_timeout,
        mark_published_delay,
        relay_batches_max: number(&[1, 2, 64]),
        // Some 30 records.
        relay_bytes_max: 20_000,
    }
}

/// Draws rules: after a restart there may be others.
fn rules(rng: &mut Generator) -> RuleSet {
    let mut rules = Vec::new();
    for name in ["x", "y", "z"] {
        if rng.once_in(2) {
            let threshold = rng.pick(&["500", "1000", "1500"]).to_string();
            rules.push(Rule::new(RuleDraft { name: name.to_owned(), threshold, ..RuleDraft::default() }).unwrap());
        }
    }
    RuleSet::new(rules).unwrap()
}
