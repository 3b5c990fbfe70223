//! A service with few file handles, and more connections than it can have.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::load::{Load, recovery};
use crate::clients::wire::Wire;
use crate::data::invariants;
use crate::servers::service::{Options, Service};

/// Good records a second by HTTP.
const BY_HTTP: usize = 100;

/// How many file handles the service may have.
const HANDLES: usize = 64;

/// Connections that are opened and never used: more than the file handles.
const IDLE: usize = 100;

/// How soon a new client's record is to be taken when there are enough handles.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Takes all file handles of a service for as long as `lasts` under a steady load, and returns what was seen.
///
/// # Panics
/// The process ended; an acknowledged record is missing or doubled; a new client's record is not taken afterwards.
#[must_use]
#[track_caller]
pub fn few_handles(settled: Duration, lasts: Duration) -> String {
    let mut service = Service::start_with(Options::new().limit(&format!("-n {HANDLES}")));
    let load = Load::start(&[service.http()], BY_HTTP, "http");
    sleep(settled);
    let began = Instant::now();
    let connections: Vec<Wire> = (0..IDLE).filter_map(|_| Wire::try_connect(service.address()).ok()).collect();
    sleep(lasts);
    let idle = connections.len();
    drop(connections);
    let back = Instant::now();
    let (recovered, probes) = recovery(&[service.http()], back, BACK_WITHIN);
    sleep(settled);
    let tally = load.stop();
    invariants::check(&service, &[tally.records.as_slice(), &probes].concat());
    service.stop();
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("{idle} idle connections at {HANDLES} handles for {:.1} s", (back - began).as_secs_f64()));
    line(format!("taken {}; lost 0, doubled 0", tally.records.len()));
    let others = tally.others.values().sum::<usize>();
    line(format!("503 with Retry-After: {}; broken connections: {others}", tally.unavailable));
    line(format!("a new client's record was taken again after {:.1} s", recovered.as_secs_f64()));
    report
}
