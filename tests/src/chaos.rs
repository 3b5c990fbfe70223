//! Chaos: several instances under load while everything around them fails, and afterwards the question whether all is
//! as if nothing had happened.
//!
//! Producers send records by every ingress at a steady rate, many of them several times, and repeat what is not
//! acknowledged. A driver injects faults of all kinds, heals them, and measures how long it takes until all is well.
//! At the end everything that was acknowledged must be stored once, with all that follows from it.

mod content;
mod ledger;
mod producer;
mod http_ingress;
mod queue_ingress;
mod listener;
mod world;
mod fault;
mod recovery;
mod driver;
mod verdict;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::clients::http::Client;
use crate::data::seed::Seed;
use crate::servers::fleet;
use crate::wait;
use driver::{Driver, Statistics};
use ledger::{Ledger, lock};
use listener::Listeners;
use producer::ProducerContext;
use verdict::Judge;
use world::World;

pub use fault::Kind;
pub use report::Report;

/// How long producers, queues and outbox may take altogether to be done after the end.
const END_PATIENCE: Duration = Duration::from_secs(120);

/// The most memory that an instance may have when all is well. In use are some 30 to 60 MiB.
const MEMORY_KIB_MAX: u64 = 256 * 1024;

/// The most files that an instance may have open when all is well: some twenty connections to each server, and those of
/// the producers.
const FILES_MAX: usize = 150;

/// How long a run is.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// So long, and then until all is well.
    For(Duration),
    /// Until each kind of fault has come so often.
    Rounds(u32),
}

/// How a run is made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What all random choices come from.
    pub seed: u64,
    /// How long it is.
    pub length: Length,
    /// How many instances there are; two at least.
    pub instances: usize,
    /// How many records, repeats and refusals are sent a second.
    pub rate: u32,
    /// By how much faults and pauses are shorter than in a long run.
    pub brevity: u32,
    /// The longest time until all is well again after the last of some faults has been taken back.
    pub recovery_max: Duration,
    /// Where the logs are put afterwards.
    pub logs: PathBuf,
}

/// Runs chaos, printing what happens.
///
/// # Errors
/// A server or an instance can't be used at all. What else is wrong, is in the report.
///
/// # Panics
/// A server or an instance does not start.
pub fn run(settings: &Settings) -> Result<Report> {
    println!("seed {}", settings.seed);
    ensure!(settings.instances > 1, "the last instance is never ended, so there must be two");
    let mut seed = Seed::again(settings.seed);
    let mut world = World::start(settings.instances);
    let ledger = Arc::new(Ledger::new(settings.seed));
    let listeners = Listeners::start(&world.redis.url(), &ledger);
    let context = producer_context(&world, &ledger);
    let begun = Instant::now();
    let producers = producer::start(&context, settings.rate, &mut seed);
    let driver = Driver {
        settings,
        world: &mut world,
        ledger: &ledger,
        listeners: &listeners,
        seed,
        begun,
        remaining_kinds: Vec::new(),
        rounds: 0,
        statistics: Statistics::default(),
    };
    let statistics = driver.drive();
    let took = begun.elapsed();
    context.ending.store(true, Ordering::Relaxed);
    let judged = statistics.and_then(|statistics| {
        let quiet = settle(&world, &ledger, producers);
        await_messages(&world, &listeners)?;
        check_upkeep(&ledger, &statistics);
        let counts = Judge::new(&ledger, listeners.end()).judge(&Client::new(&context.instances[0]), &world.redis)?;
        verify(&world, &ledger);
        Ok((statistics, counts, quiet))
    });
    keep_logs(settings, &world)?;
    let (statistics, counts, quiet) = judged?;
    let cut_short = world.cut_short.load(Ordering::Relaxed);
    Ok(Report { seed: settings.seed, took, quiet, statistics, counts, cut_short, ledger })
}

fn producer_context(world: &World, ledger: &Arc<Ledger>) -> ProducerContext {
    ProducerContext {
        ledger: Arc::clone(ledger),
        instances: world.instances.iter().map(|instance| instance.url.clone()).collect(),
        redis: world.redis.url(),
        ending: Arc::new(AtomicBool::new(false)),
    }
}

/// Waits until the producers have been answered, the queues are empty and nothing is owed; returns how long it took.
fn settle(world: &World, ledger: &Ledger, producers: Vec<(&'static str, JoinHandle<()>)>) -> Duration {
    let begun = Instant::now();
    for (name, producer) in producers {
        if wait::within(END_PATIENCE, || producer.is_finished().then_some(())).is_none() {
            ledger.find(format!("the producer {name} is still not answered"));
        } else if producer.join().is_err() {
            ledger.find(format!("the producer {name} has panicked"));
        }
    }
    let owed = || world.psql("SELECT * FROM outbox").unwrap_or_else(|error| error.to_string());
    let left = || fleet::backlog(&world.redis).unwrap_or_default();
    if wait::within(END_PATIENCE, || (left().is_empty() && owed().is_empty()).then_some(())).is_none() {
        let leases = world.psql("SELECT *, now() FROM leases").unwrap_or_else(|error| error.to_string());
        ledger.find(format!("still queued: {}; still owed: {}; leases: {leases}", left(), owed()));
    }
    begun.elapsed()
}

/// Waits until the listeners have as many messages as are stored: what is published has still to be read.
fn await_messages(world: &World, listeners: &Listeners) -> Result<()> {
    let stored = world.psql("SELECT count(*) FROM records")?;
    let alerting = world.psql("SELECT count(*) FROM records WHERE alerts IS NOT NULL")?.parse::<usize>()?;
    let stored = stored.parse::<usize>()?;
    let is_all = || {
        let (notifications, alerts) = listeners.counts();
        (notifications >= stored && alerts >= alerting).then_some(())
    };
    // What does not come is found by the judge, and named.
    let _all = wait::within(Duration::from_secs(10), is_all);
    Ok(())
}

/// Checks that an instance that has lived through everything has not grown.
fn check_upkeep(ledger: &Ledger, statistics: &Statistics) {
    for (kib, files) in &statistics.upkeep {
        if *kib > MEMORY_KIB_MAX || *files > FILES_MAX {
            ledger.find(format!("an instance has {kib} KiB and {files} open files while all is well"));
        }
    }
}

fn verify(world: &World, ledger: &Ledger) {
    let verified = lock(&world.instances[0].service).run(&["verify"]);
    if verified.code != Some(0) {
        ledger.find(format!("verify says: {}{}", verified.stdout, verified.stderr));
    }
}

fn keep_logs(settings: &Settings, world: &World) -> Result<()> {
    std::fs::create_dir_all(&settings.logs)?;
    for (n, instance) in world.instances.iter().enumerate() {
        std::fs::write(settings.logs.join(format!("instance-{n}.log")), lock(&instance.service).log())?;
    }
    std::fs::write(settings.logs.join("postgres.log"), world.postgres.log())?;
    std::fs::copy(world.redis.dir().join("stdout.log"), settings.logs.join("redis.log"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
