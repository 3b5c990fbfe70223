//! A service with little memory or few file handles, and more than it can have.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::load::{Load, recovery};
use crate::invariants;
use crate::records::{many, ndjson};
use crate::service::{Options, Service};
use crate::wire::Wire;

/// Good records a second by HTTP.
const BY_HTTP: usize = 100;

/// How soon a new client's record is to be taken when there is enough for all.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// Connections that are opened and never used: several times the file handles.
const IDLE: usize = 200;

/// Records of one upload: some 5 MB of lines.
const UPLOAD: usize = 20_000;

/// What is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// 64 MiB of memory (`ulimit -d`, the private writable memory of the process), while large uploads and queries go on.
    Memory,
    /// 64 file handles, while idle connections take all of them.
    Handles,
}

/// Lets something be scarce for as long as `lasts` under a steady load, and returns what was seen.
///
/// # Panics
/// The process ended; an acknowledged record is missing or doubled; a new client's record is not taken afterwards.
#[must_use]
#[track_caller]
pub fn scarce(what: Scarce, settled: Duration, lasts: Duration) -> String {
    let limit = match what {
        Scarce::Memory => "-d 65536",
        Scarce::Handles => "-n 64",
    };
    let mut service = Service::start_with(Options::new().limit(limit));
    let pid = service.pid();
    let load = Load::start(&[service.http()], BY_HTTP, "http");
    sleep(settled);
    let began = Instant::now();
    let (uploaded, did) = match what {
        Scarce::Memory => upload(&service, lasts),
        Scarce::Handles => (Vec::new(), idle(&service, lasts)),
    };
    let back = Instant::now();
    let (recovered, probes) = recovery(&[service.http()], back, BACK_WITHIN);
    sleep(settled);
    let tally = load.stop();
    let running = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    assert_eq!(running.trim(), "tallyhouse", "the process lives:\n{}", service.log());
    let memory = service.memory_kib() / 1024;
    let taken = tally.records.len();
    invariants::check(&service, &[tally.records.as_slice(), &uploaded, &probes].concat());
    service.stop();
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("{what:?} scarce (ulimit {limit}) for {:.1} s: {did}", (back - began).as_secs_f64()));
    line(format!("taken {taken} one by one and {} in uploads; lost 0, doubled 0", uploaded.len()));
    let others = tally.others.values().sum::<usize>();
    line(format!("503 with Retry-After: {}; broken connections: {others}; at most {memory} MiB", tally.unavailable));
    line(format!("a new client's record was taken again after {:.1} s", recovered.as_secs_f64()));
    report
}

/// Sends uploads and asks for all totals for this long; returns the records and what was done.
fn upload(service: &Service, lasts: Duration) -> (Vec<serde_json::Value>, String) {
    let (http, until, mut all) = (service.http(), Instant::now() + lasts, Vec::new());
    let mut queries = 0;
    for number in 0.. {
        if number > 0 && Instant::now() >= until {
            break;
        }
        let records = many(&format!("upload{number}"), UPLOAD);
        let results = http.lines("results=failed", ndjson(&records));
        let counts = results.last().expect("the last line counts");
        assert_eq!(counts["processed"].as_u64(), Some(UPLOAD as u64), "{counts}");
        all.extend(records);
        for path in ["/v1/aggregates", "/v1/aggregates?records=false", "/v1/notifications?limit=1000"] {
            http.get(path).expect_status(200);
            queries += 1;
        }
    }
    let did = format!("uploads of {UPLOAD} records, and {queries} queries");
    (all, did)
}

/// Opens connections and leaves them idle for this long; returns what was done.
fn idle(service: &Service, lasts: Duration) -> String {
    let connections: Vec<Wire> = (0..IDLE).filter_map(|_| Wire::try_connect(service.address()).ok()).collect();
    sleep(lasts);
    format!("{} idle connections", connections.len())
}
