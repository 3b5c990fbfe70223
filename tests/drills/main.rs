//! Takes something away from a running service, or sets intruders on it, and prints what its users saw.
//!
//! ```sh
//! cargo build --release -p tallyhouse && cargo run --release -p tallyhouse-tests --bin drills
//! cargo run --release -p tallyhouse-tests --bin drills -- postgres 60
//! ```
//!
//! The drills are those of [`DRILLS`]; without a name, all of them, one after the other. The number is how many seconds
//! it lasts, 60 where none is given. A promise that is not kept ends the program with an error.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tallyhouse_tests::drills::{
    Intruders, LogLost, Standby, bad_clients, failover, few_handles, intruders, lease_ahead, little_memory, log_lost,
    redis_outage, restored, short_deadlines, storage_outage,
};
use tallyhouse_tests::servers::service::Service;

/// How long the load runs before and after.
const SETTLED: Duration = Duration::from_secs(15);

/// The names of all drills.
const DRILLS: [&str; 12] = [
    "postgres",
    "redis",
    "intruders",
    "bad-clients",
    "synchronous-standby",
    "asynchronous-standby",
    "restore",
    "lease-ahead",
    "full-log",
    "stalled-log",
    "few-handles",
    "little-memory",
];

/// Records of the drills that last for a number of records.
const RECORDS: usize = 1_000;

/// How soon after the return of storage the whole load is to be taken again.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// The body of the intruders: 10 GB.
const BODY_BYTES: u64 = 10_000_000_000;

/// How much intruders may add to the memory of the service, in MiB.
const GROWTH_MIB_MAX: u64 = 64;

/// The memory of a service that has little, in MiB.
const MEMORY_MIB: u64 = 64;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let drill = arguments.next();
    let seconds = arguments.next().map_or(Ok(60), |text| text.parse()).context("the second argument is in seconds")?;
    let lasts = Duration::from_secs(seconds);
    let mut known = false;
    for name in DRILLS {
        if drill.as_ref().is_some_and(|drill| drill != name) {
            continue;
        }
        known = true;
        println!("{name}");
        println!("{}", run(name, lasts));
    }
    ensure!(known, "there is no drill {drill:?}: choose one of {DRILLS:?}");
    Ok(())
}

fn run(name: &str, lasts: Duration) -> String {
    match name {
        "postgres" => storage_outage(SETTLED, lasts, BACK_WITHIN),
        "redis" => redis_outage(SETTLED, lasts),
        "synchronous-standby" => failover(Standby::Synchronous, SETTLED, lasts, BACK_WITHIN),
        "asynchronous-standby" => failover(Standby::Asynchronous, SETTLED, lasts, BACK_WITHIN),
        "restore" => restored(RECORDS),
        "lease-ahead" => lease_ahead(RECORDS, lasts),
        "full-log" => log_lost(LogLost::Full, lasts),
        "stalled-log" => log_lost(LogLost::Stalled, lasts),
        "bad-clients" => bad_clients(Service::start_with(short_deadlines()), lasts),
        "few-handles" => few_handles(SETTLED, lasts),
        "little-memory" => little_memory(MEMORY_MIB, lasts),
        _ => {
            let attack = Intruders { slow: 500, body_bytes: BODY_BYTES, measured: lasts };
            intruders(&Service::start(), attack, GROWTH_MIB_MAX)
        }
    }
}
