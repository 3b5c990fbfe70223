//! A whole deployment in one process, driven by a seed: several instances of the pipeline with their queue consumers
//! and feeds, over one store, one queue and one emitter in memory, which fail in every way that the ports allow.
//!
//! The seed alone decides which records are sent, which calls fail, which instance crashes or freezes when, and which
//! of the ready tasks runs next (`executor.rs`). After a while the faults end, and within a bounded time all work must
//! be done. Then every guarantee is compared with the ledger of the world (`verdict.rs`). A seed that fails prints
//! itself with the trace of its events, and `TALLYHOUSE_SEED=<seed> cargo test -p tallyhouse-testing simulation` runs
//! it again, event for event. `TALLYHOUSE_SEEDS=<first>..<end>` runs other seeds than those of every test run.

mod executor;
mod world;
mod workload;
mod ledger;
mod history;
mod ports;
mod cluster;
mod clients;
mod chaos;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::simulation::cluster::Cluster;
use crate::simulation::workload::Workload;
use crate::simulation::world::{CLIENTS, Histories, World};
use futures::FutureExt as _;
use tallyhouse_core::ports::{Backlog, Clock as _, Outbox as _};

/// The longest time with faults.
const FAULTS_MAX: Duration = Duration::from_secs(20);
/// The time within which all work must be done once the faults have ended.
const QUIET_WITHIN: Duration = Duration::from_secs(120);

/// The end of one world.
#[derive(Debug, PartialEq, Eq)]
struct End {
    wrong: Vec<String>,
    trace: String,
    polls: u64,
}

/// Runs one world from its beginning to its end.
fn run(seed: u64, histories: Histories, is_traced: bool) -> End {
    let world = World::new(seed, histories, is_traced);
    let wrong = match catch_unwind(AssertUnwindSafe(|| simulate(&world, histories))) {
        Ok(wrong) => wrong,
        Err(panic) => vec![format!("a panic: {:?}", panic.downcast_ref::<String>())],
    };
    let end = End { wrong, trace: world.take_trace(), polls: world.executor.polls() };
    world.executor.clear();
    end
}

/// Returns the faults found at the end.
fn simulate(world: &Arc<World>, histories: Histories) -> Vec<String> {
    let Workload { producers, queue } = world.draw(|rng| Workload::draw(rng, &mut world.ledger.lock().unwrap()));
    let cluster = Cluster::start(world);
    let producing = clients::start(&cluster, producers, queue);
    let is_fed = || producing.load(Ordering::SeqCst) == 0 && cluster.queue.kept() == 0;

    let until = world.below(FAULTS_MAX);
    world.executor.spawn(CLIENTS, chaos::inject_faults(Arc::clone(&cluster), until));
    if histories != Histories::One {
        world.executor.spawn(CLIENTS, history::change_history(Arc::clone(&cluster), until));
    }
    world.executor.run_until(until, || false);
    world.end_faults();
    cluster.start_missing();

    let (fed, pulsed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    world.executor.spawn(CLIENTS, keep_pulsing(Arc::clone(&cluster), Arc::clone(&fed), Arc::clone(&pulsed)));
    if !world.executor.run_until(until + QUIET_WITHIN, is_fed) {
        let (producing, kept) = (producing.load(Ordering::SeqCst), cluster.queue.kept());
        return vec![format!("stuck: {producing} producers are not done, {kept} payloads are in the queue")];
    }
    fed.store(true, Ordering::SeqCst);
    let is_done = || pulsed.load(Ordering::SeqCst) && is_quiet(&cluster);
    if !world.executor.run_until(world.now() + QUIET_WITHIN, is_done) {
        let (backlog, is_well) = (backlog(world), cluster.is_well());
        return vec![format!("stuck: {backlog:?}; all well: {is_well}; read: {}", verdict::all_is_read(world))];
    }
    cluster.stop_all();
    if !world.executor.run_until(world.now() + QUIET_WITHIN, || cluster.tasks_left() == 0) {
        return vec![format!("stuck: {} tasks did not end", cluster.tasks_left())];
    }
    verdict::judge(world, &cluster.queue.dead_letters())
}

/// Sends one more record to every instance now and then, until all others are done.
async fn keep_pulsing(cluster: Arc<Cluster>, fed: Arc<AtomicBool>, pulsed: Arc<AtomicBool>) {
    for number in 0.. {
        if fed.load(Ordering::SeqCst) {
            break;
        }
        clients::pulse(&cluster, number).await;
        cluster.world.clock().sleep(Duration::from_millis(500)).await;
    }
    pulsed.store(true, Ordering::SeqCst);
}

fn backlog(world: &World) -> Backlog {
    world.store.backlog().now_or_never().unwrap().unwrap()
}

/// Says whether nothing is left to do.
fn is_quiet(cluster: &Cluster) -> bool {
    let world = &cluster.world;
    !world.has_commits() && backlog(world).batches == 0 && cluster.is_well() && verdict::all_is_read(world)
}

#[cfg(test)]
mod tests;
