//! Postgres fails under load, and comes back.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::{Load, Tally};
use super::memory_usage::Memory;
use crate::data::records::many;
use crate::servers::fleet::{self, Fleet, PATIENCE};
use crate::servers::redis_server::RedisServer;
use crate::servers::service::Service;
use crate::wait;

/// Records a second by HTTP, all instances together.
const BY_HTTP: usize = 400;

/// Records a second by each of the two queues.
const BY_QUEUE: usize = 100;

/// How much the memory of an instance may grow while storage is unavailable, in MiB: what fills the intake of its ingresses at
/// this load, and what the allocator keeps.
const GROWTH_MIB_MAX: u64 = 64;

/// Stops Postgres for as long as `outage` under a steady load at every ingress of two instances, and returns what was seen.
///
/// # Panics
/// An acknowledged record is missing or doubled; something else than `503` with `Retry-After` was answered; a record
/// became a dead letter; the whole load was not taken again within `back_within` of Postgres' return; memory grew.
#[must_use]
#[track_caller]
pub fn storage_outage(settled: Duration, outage: Duration, back_within: Duration) -> String {
    let mut fleet = Fleet::start(2);
    let clients = fleet.clients();
    let memory = Memory::of(fleet.instances.iter().map(Service::pid).collect());
    let done = AtomicBool::new(false);
    let Fleet { postgres, redis, .. } = &mut fleet;
    let redis = &*redis;
    let (tally, queued, times) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(redis, &done));
        let load = Load::start(&clients, BY_HTTP, "http");
        let began = Instant::now();
        sleep(settled);
        let stopped = Instant::now();
        postgres.stop().expect("Postgres stops");
        sleep(outage.saturating_sub(stopped.elapsed()));
        postgres.resume().expect("Postgres starts");
        let back = Instant::now();
        sleep(settled.max(back_within + Duration::from_secs(2)));
        let ended = Instant::now();
        let tally = load.stop();
        done.store(true, Ordering::Relaxed);
        (tally, feeder.join().expect("the feeder does not panic"), [began, stopped, back, ended])
    });
    fleet.await_drained();
    let memory = memory.stop();
    let [began, stopped, back, ended] = times;

    let records = [tally.records.as_slice(), &queued].concat();
    fleet.check(&records);
    assert_eq!(fleet.dead_letters(), 0);
    assert!(tally.others.is_empty(), "{:?}", tally.others);
    for client in &clients {
        wait::within(PATIENCE, || (client.get("/readyz").status == 200).then_some(())).expect("it is ready again");
    }
    let full = full_rate_after(&tally, back, ended);
    let (before, during) = (memory.most_mib(began, stopped), memory.most_mib(stopped, ended));
    let report = report(&tally, &queued, full, (before, during), times);
    assert!(full.is_some_and(|full| full <= back_within), "{report}");
    assert!(during <= before + 2 * GROWTH_MIB_MAX, "{report}");
    report
}

/// Brings records to both queues until it is told to stop, and returns them.
fn feed(redis: &RedisServer, done: &AtomicBool) -> Vec<Value> {
    let mut all = Vec::new();
    let began = Instant::now();
    for n in 0u32.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let records = many(&format!("queued{n}"), BY_QUEUE);
        let (list, stream) = records.split_at(BY_QUEUE / 2);
        fleet::push(redis, list);
        fleet::add(redis, stream);
        all.extend(records);
        sleep((began + n * Duration::from_millis(500)).saturating_duration_since(Instant::now()));
    }
    all
}

/// Returns how long after `back` the senders' whole load was taken again: the end of the first second in which as many
/// records were taken as are sent in one, less a twentieth.
fn full_rate_after(tally: &Tally, back: Instant, ended: Instant) -> Option<Duration> {
    let step = Duration::from_millis(100);
    (0..)
        .map(|n| back + n * step)
        .take_while(|from| *from + Duration::from_secs(1) <= ended)
        .find(|from| tally.per_second(*from, *from + Duration::from_secs(1))[0] >= BY_HTTP * 19 / 20)
        .map(|from| from + Duration::from_secs(1) - back)
}

fn report(
    tally: &Tally,
    queued: &[Value],
    full: Option<Duration>,
    (before, during): (u64, u64),
    [began, stopped, back, ended]: [Instant; 4],
) -> String {
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("Postgres unavailable for {:.1} s", back.duration_since(stopped).as_secs_f64()));
    line(format!("records taken by HTTP: {}, by the queues: {}; lost 0, doubled 0", tally.records.len(), queued.len()));
    line(format!(
        "503 with Retry-After: {}; any other refusal: {}; dead letters: 0",
        tally.unavailable,
        tally.others.len()
    ));
    line(format!("full rate again after {:.1} s", full.map_or(f64::NAN, |full| full.as_secs_f64())));
    line(format!("memory of two instances: {before} MiB before, {during} MiB at most from then on"));
    line(format!("taken in each second before: {:?}", tally.per_second(began, stopped)));
    line(format!("taken in each second after: {:?}", tally.per_second(back, ended)));
    report
}
