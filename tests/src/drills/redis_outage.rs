//! Redis fails under load, and comes back without the consumer group.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::Commands as _;
use serde_json::Value;

use super::load::{Load, Tally};
use super::memory_usage::Memory;
use crate::data::records::many;
use crate::servers::fleet::{self, Fleet, PATIENCE};
use crate::servers::redis_server::RedisServer;
use crate::servers::service::{Options, Service};
use crate::wait;

/// Records a second by HTTP, both instances together.
const BY_HTTP: usize = 400;

/// Records that lie in each queue when Redis fails, and again when it is back.
const QUEUED: usize = 2_000;

/// How much the memory of an instance may grow while messages wait, in MiB.
const GROWTH_MIB_MAX: u64 = 64;

/// Kills Redis for as long as `outage` under a steady load by HTTP at two instances and with filled queues; drops the
/// consumer group when it is back; and returns what was seen.
///
/// # Panics
/// A record was refused over HTTP; one is missing, doubled or a dead letter; a message that was owed never goes out;
/// memory grew.
#[must_use]
#[track_caller]
pub fn redis_outage(settled: Duration, outage: Duration) -> String {
    let mut fleet = Fleet::start_with(2, &Options::new().env("TALLYHOUSE_REDIS__DURABLE", "true"));
    let queued = many("queued", 4 * QUEUED);
    let mut parts = queued.chunks(QUEUED);
    let mut part = || parts.next().expect("there are four parts");
    let memory = Memory::of(fleet.instances.iter().map(Service::pid).collect());
    let load = Load::start(&fleet.clients(), BY_HTTP, "http");
    let began = Instant::now();
    sleep(settled);
    fleet::push(&fleet.redis, part());
    fleet::add(&fleet.redis, part());
    fleet.redis.kill().expect("Redis can be killed");
    let stopped = Instant::now();
    sleep(outage);
    let owed = fleet.psql("SELECT count(*) FROM outbox");
    let ready = fleet.clients()[0].get("/readyz").expect_status(200).text().to_owned();
    fleet.redis.restart().expect("Redis starts");
    let back = Instant::now();
    let dropped = fleet.redis.cli(&["XGROUP", "DESTROY", fleet::STREAM, "tallyhouse"]).expect("Redis answers");
    fleet::push(&fleet.redis, part());
    fleet::add(&fleet.redis, part());
    fleet.await_drained();
    let drained = back.elapsed();
    // Under load, what was just committed is always owed: up to a batch for each record of the last moments.
    let is_behind = || fleet.psql(&format!("SELECT count(*) > {BY_HTTP} FROM outbox")) == "t";
    wait::within(PATIENCE, || (!is_behind()).then_some(())).expect("the messages go out");
    let caught_up = back.elapsed();
    sleep(settled);
    let ended = Instant::now();
    let tally = load.stop();
    let memory = memory.stop();

    let records = [tally.records.as_slice(), &queued].concat();
    fleet.check(&records);
    assert_eq!(fleet.dead_letters(), 0);
    assert!(tally.others.is_empty() && tally.unavailable == 0, "{} {:?}", tally.unavailable, tally.others);
    let expected: BTreeSet<&str> = records.iter().map(|record| record["recordId"].as_str().expect("an id")).collect();
    let (published, repeats) = published(&fleet.redis);
    assert_eq!(published.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected, "every owed message went out");
    assert!(ready.contains("degraded"), "{ready}");
    let (before, during) = (memory.most_mib(began, stopped), memory.most_mib(stopped, ended));
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!(
        "Redis unavailable for {:.1} s; group dropped on its return: {dropped}",
        (back - stopped).as_secs_f64()
    ));
    line(format!("records taken by HTTP: {}, by the queues: {}; lost 0, doubled 0", tally.records.len(), queued.len()));
    line(format!("{}; refused over HTTP: 0; dead letters: 0", while_unavailable(&tally, began, stopped, back)));
    line(format!(
        "batches owed when it came back: {owed}; messages published {}, of them repeats {repeats}",
        published.len() + repeats
    ));
    line(format!(
        "queues empty after {:.1} s, outbox caught up after {:.1} s",
        drained.as_secs_f64(),
        caught_up.as_secs_f64()
    ));
    line(format!("memory of two instances: {before} MiB before, {during} MiB at most from then on"));
    assert!(during <= before + 2 * GROWTH_MIB_MAX, "{report}");
    report
}

fn while_unavailable(tally: &Tally, began: Instant, stopped: Instant, back: Instant) -> String {
    let (before, during) =
        (tally.percentile(0.99, began, stopped).as_millis(), tally.percentile(0.99, stopped, back).as_millis());
    format!("99 of 100 answers within {before} ms before, {during} ms while Redis was unavailable")
}

/// Returns the ids of the notifications in the durable stream, and how many came more than once.
pub(super) fn published(redis: &RedisServer) -> (BTreeSet<String>, usize) {
    let mut connection = redis.connection().expect("Redis answers");
    let entries: Vec<(String, Vec<(String, String)>)> =
        connection.xrange_all("tallyhouse:notifications:stream").expect("Redis answers");
    let id = |message: &str| {
        let message: Value = serde_json::from_str(message).expect("a message is JSON");
        message["id"].as_str().expect("a message has an id").to_owned()
    };
    let ids: BTreeSet<String> = entries.iter().flat_map(|(_, fields)| fields).map(|(_, message)| id(message)).collect();
    let repeats = entries.len() - ids.len();
    (ids, repeats)
}
