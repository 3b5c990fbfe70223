//! A ramp into overload: records come at a steady rate, from half of what the service can take to three times as much.
//!
//! ```sh
//! cargo run --release -p tallyhouse-tests --bin load-overload
//! cargo run --release -p tallyhouse-tests --bin load-overload -- --defaults --seconds 20
//! ```
//!
//! Arrivals do not wait for answers. A service that collapses under them takes ever fewer, ever later; this one is to
//! say `503` with `Retry-After` to what is too much, and to take the rest as before. Since senders, service and servers
//! share the machine, storage is made the bottleneck, as it is elsewhere: one writer with small batches, before which
//! few records may wait. With `--defaults` the service is as it comes, and senders and service fight for the
//! processors.
//!
//! It ends with 1 if the service takes less than four fifths of its best at the end of the ramp, lets what it takes
//! wait for much longer than its queue is long, refuses one without `Retry-After` or in another way, or has stored
//! anything else than what it took.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use comfy_table::{Table, presets};
use tallyhouse_tests::bench::arrivals::count_in;
use tallyhouse_tests::bench::build::build;
use tallyhouse_tests::bench::deployment::Deployment;
use tallyhouse_tests::bench::load::{Load, Requests};
use tallyhouse_tests::bench::machine::Machine;
use tallyhouse_tests::bench::measurements::Seen;
use tallyhouse_tests::bench::processes::state_of;
use tallyhouse_tests::bench::supply::{Ids, Keys, Supply, take};
use tallyhouse_tests::bench::world::World;
use tallyhouse_tests::servers::service::Options;

/// Parts of the capacity at which records come; the last one is that after the ramp.
const STEPS: [f64; 8] = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 0.5];

/// Connections by which the capacity is found out, at most.
const CAPACITY_CONNECTIONS: usize = 64;

/// How much of the best is still to be taken at the end of the ramp.
const GOODPUT_MIN: f64 = 0.8;

/// How long what is taken may wait for its answer (the 99th percentile): so many times as long as all that may wait
/// takes at the capacity, and a little more.
const SERVED_TIMES: f64 = 3.0;
const SERVED_MORE: Duration = Duration::from_millis(250);

/// How much memory the ramp may add to what the service has at its capacity, in MiB.
const GROWTH_MIB_MAX: u64 = 64;

/// More records than any step sends.
const ENOUGH: u64 = 1 << 32;

/// Ramps a load up beyond what the service can take.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long each step lasts.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Connections by which records come: as many may be in flight.
    #[arg(long, default_value_t = 768)]
    connections: usize,
    /// How many records may wait in the service.
    #[arg(long, default_value_t = 200)]
    intake: u32,
    /// How many records are committed together: so few that storage, not the processors that senders and service share,
    /// is what sets the limit.
    #[arg(long, default_value_t = 2)]
    batch: u32,
    /// Leaves the service as it comes.
    #[arg(long)]
    defaults: bool,
    /// Measures the binary that lies beside this one as it is.
    #[arg(long)]
    no_build: bool,
}

/// What one step came to.
struct Step {
    factor: f64,
    seen: Seen,
    resident_kib: u64,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if !arguments.no_build {
        build()?;
    }
    let world = World::start()?;
    println!("{}", Machine::look(&world).line());
    let deployment = Deployment::start_with(&world, options(&arguments))?;
    let supply = Arc::new(Supply::new(Ids::Counted, Keys::Flights));
    let requests: Arc<Requests> = Arc::new(move |n, _, request: &mut Vec<u8>| supply.append_request(n, request));
    let lasts = Duration::from_secs_f64(arguments.seconds);

    // No more than may wait, so that none is refused.
    let waiting = if arguments.defaults { arguments.connections } else { usize::try_from(arguments.intake)? };
    let few = CAPACITY_CONNECTIONS.min(waiting);
    let mut load = Load::connect(deployment.service.address(), few)?;
    let warm = load.closed(take(ENOUGH), lasts / 2, &requests);
    let closed = load.closed(take(ENOUGH), lasts, &requests);
    ensure!(warm.failures() + closed.failures() == 0, "the service refuses what it can take: {:?}", closed.answers);
    let capacity = rate(&closed);
    println!("capacity: {capacity:.0} records a second over {few} connections");
    let resident_before = state_of(deployment.service.pid()).resident_kib;
    drop(load);

    let mut load = Load::connect(deployment.service.address(), arguments.connections)?;
    let mut steps = Vec::new();
    for factor in STEPS {
        let arrivals = count_in(capacity * factor, lasts);
        eprintln!("{factor} times the capacity: {arrivals} records");
        let seen = load.open(capacity * factor, take(arrivals), &requests);
        steps.push(Step { factor, seen, resident_kib: state_of(deployment.service.pid()).resident_kib });
    }
    println!("{}", table(&steps, capacity));
    let taken = [&warm, &closed].into_iter().chain(steps.iter().map(|step| &step.seen)).map(Seen::successes).sum();
    let served_max = SERVED_MORE + Duration::from_secs_f64(SERVED_TIMES * waiting as f64 / capacity);
    let faults = faults(&steps, resident_before, served_max, &deployment, taken)?;
    faults.iter().for_each(|fault| println!("FAULT: {fault}"));
    println!(
        "{}",
        if faults.is_empty() { "good: it sheds what is too much, and takes the rest as before" } else { "not good" }
    );
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options(arguments: &Arguments) -> Options {
    if arguments.defaults {
        return Options::new();
    }
    Options::new()
        .env("TALLYHOUSE_PIPELINE__WRITERS", "1")
        .env("TALLYHOUSE_PIPELINE__BATCH_RECORDS_MAX", arguments.batch.to_string())
        .env("TALLYHOUSE_PIPELINE__INTAKE_RECORDS_MAX", arguments.intake.to_string())
}

/// Returns how many records a second were taken.
fn rate(seen: &Seen) -> f64 {
    seen.successes() as f64 / seen.took.as_secs_f64()
}

fn table(steps: &[Step], capacity: f64) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([
        "of capacity",
        "offered/s",
        "taken/s",
        "refused/s",
        "broken",
        "taken p50 ms",
        "p99 ms",
        "max ms",
        "refused p99 ms",
        "taken p99 since due ms",
        "resident MiB",
    ]);
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    for Step { factor, seen, resident_kib } in steps {
        let refused = (seen.failures() - seen.broken) as f64 / seen.took.as_secs_f64();
        table.add_row([
            format!("{factor}"),
            format!("{:.0}", capacity * factor),
            format!("{:.0}", rate(seen)),
            format!("{refused:.0}"),
            seen.broken.to_string(),
            ms(seen.served.part(0.5)),
            ms(seen.served.part(0.99)),
            ms(seen.served.part(1.0)),
            ms(seen.refused.part(0.99)),
            ms(seen.accepted.part(0.99)),
            (resident_kib / 1024).to_string(),
        ]);
    }
    table
}

/// Says what is not as it must be.
fn faults(
    steps: &[Step],
    resident_before_kib: u64,
    served_max: Duration,
    deployment: &Deployment,
    taken: u64,
) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let [ramp @ .., after] = steps else { return Ok(vec!["there are no steps".to_owned()]) };
    let best = ramp.iter().map(|step| rate(&step.seen)).fold(0.0, f64::max);
    let last = ramp.last().map_or(0.0, |step| rate(&step.seen));
    if last < GOODPUT_MIN * best {
        faults.push(format!("at the end of the ramp {last:.0} records a second were taken, {best:.0} at best"));
    }
    for Step { factor, seen, .. } in steps {
        let served = seen.served.part(0.99);
        if served > served_max {
            faults.push(format!(
                "at {factor}, the 99th percentile of what was taken waited {served:?}, not {served_max:?}"
            ));
        }
        let others: Vec<_> = seen.answers.keys().filter(|status| ![200, 201, 429, 503].contains(*status)).collect();
        if !others.is_empty() || seen.broken > 0 {
            faults.push(format!("at {factor}, {} requests broke, and there were answers {others:?}", seen.broken));
        }
        if seen.without_retry_after > 0 {
            faults.push(format!("at {factor}, {} refusals did not say when to come again", seen.without_retry_after));
        }
    }
    if ramp.iter().all(|step| step.seen.failures() == 0) {
        faults.push("nothing was refused: this was no overload".to_owned());
    }
    if after.seen.failures() > 0 {
        faults.push(format!("after the ramp {} records of half the capacity were refused", after.seen.failures()));
    }
    let growth = after.resident_kib.saturating_sub(resident_before_kib) / 1024;
    if growth > GROWTH_MIB_MAX {
        faults.push(format!("the ramp left {growth} MiB more memory"));
    }
    let stored = deployment.stored()?;
    if stored != taken {
        faults.push(format!("{stored} records are stored, and {taken} were taken"));
    }
    if deployment.service.run(&["verify"]).code != Some(0) {
        faults.push("verify finds faults".to_owned());
    }
    Ok(faults)
}
