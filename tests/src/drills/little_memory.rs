//! A service with little memory, and requests that together need more.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::Load;
use crate::clients::http::{Answer, Client, try_send};
use crate::data::invariants;
use crate::data::records::{many, ndjson};
use crate::servers::memory_group::MemoryGroup;
use crate::servers::service::{Options, Service};

/// Good records a second by HTTP.
const BY_HTTP: usize = 50;

/// Records of an import.
const IMPORTED: usize = 20_000;

/// What is asked for at once, again and again.
const HEAVY: [&str; 8] = [
    "/v1/export",
    "/v1/export",
    "/v1/export",
    "/v1/export",
    "/v1/aggregates",
    "/v1/aggregates",
    "/v1/aggregates",
    "/v1/records?limit=1000",
];

/// The wait between two looks whether the process runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Has imports, exports and totals compete for `mib` of memory for as long as `lasts`, beside a steady load. The system
/// kills a process that needs more; it is started again then, as a container is. Returns what was seen.
///
/// # Panics
/// An acknowledged record is missing or doubled; a record is not taken; control groups can't be had.
#[must_use]
#[track_caller]
pub fn little_memory(mib: u64, lasts: Duration) -> String {
    let group = MemoryGroup::new(mib);
    let mut service = Service::start_with(Options::new().memory(&group));
    let load = Load::start(&[service.http()], BY_HTTP, "good");
    let is_over = AtomicBool::new(false);
    let (mut kills, client) = (0, service.http());
    let (imported, rounds) = std::thread::scope(|scope| {
        for path in HEAVY {
            let (client, is_over) = (&client, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    // The process may be killed meanwhile.
                    drop(try_send(client.request("GET", path)));
                    sleep(LOOK_EVERY);
                }
            });
        }
        let imports = scope.spawn(|| import(&client, &is_over));
        let ends = Instant::now() + lasts;
        while Instant::now() < ends || !imports.is_finished() {
            is_over.store(Instant::now() >= ends, Ordering::Relaxed);
            kills += usize::from(service.restart_if_ended());
            sleep(LOOK_EVERY);
        }
        is_over.store(true, Ordering::Relaxed);
        imports.join().expect("an import does not panic")
    });
    let done = AtomicBool::new(false);
    let tally = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            let tally = load.stop();
            done.store(true, Ordering::Relaxed);
            tally
        });
        while !done.load(Ordering::Relaxed) && !stopping.is_finished() {
            kills += usize::from(service.restart_if_ended());
            sleep(LOOK_EVERY);
        }
        stopping.join().expect("the load is taken in the end")
    });
    let (good, all) = (tally.records.len(), [tally.records, imported].concat());
    service.stop();
    // The check reads everything at once: it has the memory of its own, not that of the drill.
    service.lift_limits();
    service.restart();
    invariants::check(&service, &all);
    service.stop();
    let mut report = String::new();
    let mut line = |text: String| writeln!(report, "{text}").expect("a string takes all");
    line(format!("{mib} MiB: {good} single records and {rounds} imports of {IMPORTED} taken; lost 0, doubled 0"));
    line(format!("killed for its memory, and started again: {kills} times"));
    report
}

/// Imports until it is over, each import again until it is answered as a whole. Returns the records and the imports.
fn import(client: &Client, is_over: &AtomicBool) -> (Vec<Value>, usize) {
    let (mut all, mut rounds) = (Vec::new(), 0);
    while !is_over.load(Ordering::Relaxed) {
        let records = many(&format!("import{rounds}"), IMPORTED);
        let body = ndjson(&records);
        let send = || {
            let request = client.request("POST", "/v1/records/batch?results=failed");
            try_send(request.header("content-type", "application/x-ndjson").body(body.clone()))
        };
        // A broken answer leaves it open which records were taken: all are sent again.
        let counts =
            |answer: &Answer| answer.json_lines().last().map(|line| line["rejected"] == 0 && line["conflicts"] == 0);
        while !send().is_ok_and(|answer| answer.status == 200 && counts(&answer) == Some(true)) {
            sleep(LOOK_EVERY);
        }
        all.extend(records);
        rounds += 1;
    }
    (all, rounds)
}
