//! A soak: all ingresses at a steady rate for half an hour, and what grows meanwhile.
//!
//! ```sh
//! cargo run --release -p tallyhouse-tests --bin load-soak
//! cargo run --release -p tallyhouse-tests --bin load-soak -- --minutes 240 --rate 500
//! ```
//!
//! Half of the records come one by one, the others in JSON batches, as NDJSON, by the list and by the stream; some were
//! sent before, and readers ask meanwhile. At the start, each minute and at the end it looks at the service's memory,
//! file handles and threads, the sizes of the tables, what waits in the queues, and how long answers and messages took.
//!
//! It ends with 1 if a request failed; if what was sent is not stored exactly once, by the service's count, by the
//! database's, and by `tallyhouse verify`; if a message did not come and can't be caught up with, or came twice; if
//! anything is left in the queues, the dead letters or the outbox; or if memory, handles or threads grew beyond the
//! bounds below.

#[path = "soak/ingresses.rs"]
mod ingresses;
#[path = "soak/state.rs"]
mod state;

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use tallyhouse_tests::bench::arrivals::count_in;
use tallyhouse_tests::bench::build::build;
use tallyhouse_tests::bench::deployment::Deployment;
use tallyhouse_tests::bench::latency_subscriber::{Expected, Latencies, LatencySubscriber};
use tallyhouse_tests::bench::machine::Machine;
use tallyhouse_tests::bench::supply::{Ids, number, take};
use tallyhouse_tests::bench::world::World;

use ingresses::{Ingresses, Sent};
use state::{Moment, table};

/// How long messages may take after the last record.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much memory may grow after the first look under load: by a fifth, and so many MiB.
const GROWTH_PART: u64 = 5;
const GROWTH_MIB: u64 = 16;

/// How many handles and threads may be added after the first look under load.
const HANDLES_MORE: usize = 16;
const THREADS_MORE: u64 = 8;

/// Sends at all ingresses for long.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Records a second.
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// How often it looks on the way; each minute, where nothing is said.
    #[arg(long)]
    looks: Option<u32>,
    /// Runs the binary that lies beside this one as it is.
    #[arg(long)]
    no_build: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        build()?;
    }
    let world = World::start()?;
    println!("{}", Machine::look(&world).line());
    let deployment = Deployment::start(&world)?;
    let lasts = Duration::from_secs_f64(60.0 * arguments.minutes);
    // The first number, and twice as many places as records.
    let first = take(1).start;
    let places = count_in(2.0 * arguments.rate as f64, lasts) + 10_000;
    let expected = Expected::new(first..first + places);
    let subscriber = LatencySubscriber::subscribe(&world.redis, &deployment.prefix, Ids::Counted, &expected)?;
    let mut ingresses = Ingresses::open(&world, &deployment, &expected, arguments.rate)?;

    let poll_interval = arguments.looks.map_or(Duration::from_secs(60), |looks| lasts / looks);
    let began = Instant::now();
    let mut moments = vec![Moment::look(&world, &deployment, Duration::ZERO, Sent::default(), Latencies::default())?];
    let (mut all, mut others, mut heard) = (Sent::default(), 0, 0);
    while began.elapsed() < lasts {
        let sent = ingresses.send(&deployment, poll_interval)?;
        all.join(&sent);
        let messages = subscriber.take();
        (others, heard) = (others + messages.others, heard + messages.times.count());
        eprintln!("{:.0} s: {} records, {} failures", began.elapsed().as_secs_f64(), all.records, all.failures());
        moments.push(Moment::look(&world, &deployment, began.elapsed(), sent, messages)?);
    }
    let rest = subscriber.finish(all.records - heard, PATIENCE);
    others += rest.others;
    moments.push(Moment::look(&world, &deployment, began.elapsed(), Sent::default(), rest)?);
    println!("{}", table(&moments));

    let mut faults = growth(&moments);
    faults.extend(leftovers(&world, &deployment, &all)?);
    if others > 0 {
        faults.push(format!("{others} messages came again, or of records that nobody sent"));
    }
    faults.extend(unheard(&deployment, &expected.missing()));
    faults.iter().for_each(|fault| println!("FAULT: {fault}"));
    println!("{} records sent; {}", all.records, if faults.is_empty() { "good" } else { "not good" });
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what grew beyond its bounds between the first look under load and the last one.
fn growth(moments: &[Moment]) -> Vec<String> {
    let mut faults = Vec::new();
    let [_, first, .., last] = moments else { return vec!["it was too short to look twice".to_owned()] };
    let (before, after) = (first.process, last.process);
    let bound = before.resident_kib + before.resident_kib / GROWTH_PART + GROWTH_MIB * 1024;
    if after.resident_kib > bound {
        faults.push(format!("memory grew from {} to {} MiB", before.resident_kib / 1024, after.resident_kib / 1024));
    }
    if after.handles > before.handles + HANDLES_MORE {
        faults.push(format!("handles grew from {} to {}", before.handles, after.handles));
    }
    if after.threads > before.threads + THREADS_MORE {
        faults.push(format!("threads grew from {} to {}", before.threads, after.threads));
    }
    faults
}

/// Says what is not stored as it was sent, and what is left where nothing should be.
fn leftovers(world: &World, deployment: &Deployment, all: &Sent) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    if all.failures() > 0 {
        faults.push(format!("{} requests failed: {:?}", all.failures(), all.single.answers));
    }
    // What is settled by itself, is so within a second or two.
    let end = Instant::now() + PATIENCE;
    let mut last = Moment::look(world, deployment, Duration::ZERO, Sent::default(), Latencies::default())?;
    while (last.owed > 0 || last.queues != [0; 3]) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        last = Moment::look(world, deployment, Duration::ZERO, Sent::default(), Latencies::default())?;
    }
    if last.owed > 0 || last.queues != [0; 3] {
        faults.push(format!("left: {} owed batches; list, stream and dead letters: {:?}", last.owed, last.queues));
    }
    let counted: u64 = world.postgres.psql(deployment.database_name(), "SELECT count(*) FROM records")?.parse()?;
    let stored = deployment.stored()?;
    if counted != all.records || stored != all.records {
        faults.push(format!("{} sent, {counted} in the database, {stored} by the service", all.records));
    }
    let verified = deployment.service.run(&["verify"]);
    println!("verify: {}", verified.stdout.trim());
    if verified.code != Some(0) {
        faults.push("verify finds faults".to_owned());
    }
    Ok(faults)
}

/// Says which messages did not come and can't be caught up with, either.
fn unheard(deployment: &Deployment, missing: &[u64]) -> Vec<String> {
    if missing.is_empty() {
        println!("every message was received");
        return Vec::new();
    }
    let mut missing: HashSet<u64> = missing.iter().copied().collect();
    println!("{} messages were not received; looking for them by catching up", missing.len());
    let (http, mut after) = (deployment.service.http(), String::new());
    loop {
        let page = http.get(&format!("/v1/notifications?limit=1000{after}")).expect_status(200).json();
        let messages = page["messages"].as_array().cloned().unwrap_or_default();
        for id in messages.iter().filter_map(|message| message["id"].as_str()) {
            if let Some(n) = number(id.as_bytes(), Ids::Counted) {
                missing.remove(&n);
            }
        }
        if messages.is_empty() || missing.is_empty() {
            break;
        }
        after = format!("&after={}", page["next"].as_str().unwrap_or_default());
    }
    if missing.is_empty() { Vec::new() } else { vec![format!("{} messages are lost", missing.len())] }
}
