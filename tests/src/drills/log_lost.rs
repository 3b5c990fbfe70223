//! The log can't be written, because its disk is full or its reader has stalled, while Redis is restarted under load.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::load::Load;
use super::redis_outage::published;
use crate::clients::scrape::Scrape;
use crate::data::invariants;
use crate::servers::redis_server::RedisServer;
use crate::servers::service::{Options, Service};
use crate::wait;

/// Records a second by HTTP.
const BY_HTTP: usize = 200;

/// How long the messages may take after the return of Redis.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is wrong with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLost {
    /// Its disk is full, from the start on.
    Full,
    /// Its reader reads no more. The first 8,192 lines wait for it.
    Stalled,
}

/// Logs every request under a steady load while the log can't be written, and restarts Redis meanwhile. Returns what was
/// seen.
///
/// # Panics
/// A request failed; a record is missing, doubled or unpublished; no line of a full log is counted as lost; the stop is not
/// graceful.
#[must_use]
#[track_caller]
pub fn log_lost(kind: LogLost, lasts: Duration) -> String {
    let mut redis = RedisServer::start_durable().expect("Redis starts");
    let options = Options::new()
        .env("TALLYHOUSE_LOG__REQUESTS", "true")
        .env("TALLYHOUSE_REDIS__URL", redis.url())
        .env("TALLYHOUSE_REDIS__DURABLE", "true");
    let mut service = match kind {
        LogLost::Full => Service::start_with(options.log_is_full()),
        LogLost::Stalled => Service::start_with(options),
    };
    service.stall_log(true);
    let client = service.http();
    let load = Load::start(&[service.http()], BY_HTTP, "http");
    let began = Instant::now();
    sleep(lasts / 2);
    redis.kill().expect("Redis can be killed");
    sleep(lasts / 4);
    redis.restart().expect("Redis starts");
    let back = Instant::now();
    sleep(lasts / 4);
    let (ended, tally) = (Instant::now(), load.stop());
    assert!(tally.others.is_empty() && tally.unavailable == 0, "{} {:?}", tally.unavailable, tally.others);
    let all = || (published(&redis).0.len() == tally.records.len()).then(|| back.elapsed());
    let recovery = wait::within(PATIENCE, all).expect("every message is published");
    invariants::check(&service, &tally.records);
    let lost_lines = || Scrape::of(&client).value("tallyhouse_log_lines_lost_total", &[]);
    if kind == LogLost::Full {
        wait::within(PATIENCE, || (lost_lines() > 0.0).then_some(())).expect("lost lines are counted");
    }
    let lost_lines = lost_lines();
    service.stop();
    service.stall_log(false);
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("{kind:?} log for {:.1} s: {lost_lines} lines lost and counted", (ended - began).as_secs_f64()));
    line(format!("taken {}; lost 0, doubled 0, unpublished 0, refused 0", tally.records.len()));
    let slowest = tally.percentile(0.99, began, ended).as_millis();
    line(format!(
        "99 of 100 answers within {slowest} ms; all published {:.1} s after the return of Redis",
        recovery.as_secs_f64()
    ));
    report
}
