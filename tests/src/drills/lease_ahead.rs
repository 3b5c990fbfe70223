//! An instance dies whose last lease was written by a clock that was hours ahead.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::redis_outage::published;
use crate::data::records::many;
use crate::servers::fleet::{self, Fleet};
use crate::servers::service::Options;
use crate::wait;

/// Kills one of two instances while it owes the messages of `records`, and returns what was seen.
///
/// # Panics
/// A record is missing or doubled, or a message is not published `within` this time of the return of Redis.
#[must_use]
#[track_caller]
pub fn lease_ahead(records: usize, within: Duration) -> String {
    let mut fleet = Fleet::start_with(2, &Options::new().env("TALLYHOUSE_REDIS__DURABLE", "true"));
    let sent = many("r", records);
    fleet.redis.kill().expect("Redis can be killed");
    fleet::send(&fleet.clients()[..1], &sent);
    fleet.instances[0].kill();
    fleet.psql("UPDATE leases SET until = until + interval '5 hours'");
    let owed = fleet.psql("SELECT sum(last - first + 1) FROM outbox");
    fleet.redis.restart().expect("Redis starts");
    let back = Instant::now();
    let expected: BTreeSet<String> =
        sent.iter().map(|record| record["recordId"].as_str().expect("an id").to_owned()).collect();
    let all = || (published(&fleet.redis).0 == expected).then(|| back.elapsed());
    let recovery = wait::within(within, all).expect("another instance publishes what the dead one owed");
    fleet.instances[0].restart();
    fleet.check(&sent);
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("owed by the dead instance: {owed} of {records} records, with leases 5 hours ahead"));
    line(format!("lost 0, doubled 0, unpublished 0; all published after {:.1} s", recovery.as_secs_f64()));
    report
}
