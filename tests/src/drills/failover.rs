//! A standby of Postgres takes over under load: a synchronous one, which has everything, or one that lacks the tail.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::{Load, recovery};
use super::redis_outage::published;
use crate::servers::fleet::Fleet;
use crate::servers::service::Options;

/// Records a second by HTTP, both instances together.
const BY_HTTP: usize = 200;

/// Which standby takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standby {
    /// Each commit waits for its disk.
    Synchronous,
    /// It lacks what was committed last.
    Asynchronous,
}

/// Runs two instances under a steady load, stops the replication, ends the primary `lag` later, and promotes the standby in
/// its place. Returns what was seen.
///
/// # Panics
/// A synchronous standby lacks an acknowledged record, an asynchronous one lacks another than of the lag; a record is
/// doubled; a stored one is never published; an instance takes no record within `back_within`.
#[must_use]
#[track_caller]
pub fn failover(kind: Standby, settled: Duration, lag: Duration, back_within: Duration) -> String {
    let mut fleet = Fleet::start_with(2, &Options::new().env("TALLYHOUSE_REDIS__DURABLE", "true"));
    let standby = fleet.postgres.standby().expect("a standby can be made");
    if kind == Standby::Synchronous {
        fleet.postgres.wait_for_standby().expect("the standby is synchronous");
    }
    let load = Load::start(&fleet.clients(), BY_HTTP, "http");
    sleep(settled);
    let cut = Instant::now();
    standby.stop_following().expect("the standby stops");
    sleep(lag);
    let stopped = Instant::now();
    fleet.postgres.fail_over(standby).expect("the standby takes over");
    let back = Instant::now();
    let (recovered, probes) = recovery(&fleet.clients(), back, back_within);
    sleep(settled);
    let tally = load.stop();

    let stored = fleet.psql("SELECT record_id FROM records");
    let stored: BTreeSet<&str> = stored.lines().collect();
    let acknowledged: BTreeMap<&str, Instant> =
        tally.records.iter().map(id_of).zip(tally.taken.iter().map(|(at, _)| *at)).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|(id, _)| !stored.contains(*id)).collect();
    let excused = lost.iter().filter(|(_, at)| kind == Standby::Asynchronous && (cut..back).contains(*at)).count();
    assert_eq!(lost.len(), excused, "only what was acknowledged without the standby may be lost: {lost:?}");
    let all = tally.records.iter().chain(&probes);
    let kept: Vec<Value> = all.filter(|record| stored.contains(id_of(record))).cloned().collect();
    fleet.check(&kept);
    let (published, repeats) = published(&fleet.redis);
    let unpublished = stored.iter().filter(|id| !published.contains(**id)).count();
    assert_eq!(unpublished, 0, "every stored record is published");
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("{kind:?} standby promoted after a lag of {:.1} s", (stopped - cut).as_secs_f64()));
    line(format!("acknowledged {}; lost with the lag {excused}; lost otherwise 0, doubled 0", acknowledged.len()));
    line(format!("stored {}; unpublished 0, repeats {repeats}", stored.len()));
    let others = tally.others.values().sum::<usize>();
    line(format!("503 with Retry-After: {}; other refusals and broken connections: {others}", tally.unavailable));
    line(format!("both instances took records again after {:.1} s", recovered.as_secs_f64()));
    report
}

fn id_of(record: &Value) -> &str {
    record["recordId"].as_str().expect("a record has an id")
}
