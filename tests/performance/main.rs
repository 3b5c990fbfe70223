//! Measures the service beside floors: programs that do no more than they must. What each figure means is told in
//! docs/PERFORMANCE.md.
//!
//! ```sh
//! cargo run --release -p tallyhouse-tests --bin bench
//! cargo run --release -p tallyhouse-tests --bin bench -- single --rounds 3
//! cargo run --release -p tallyhouse-tests --bin bench -- --json bench.json --markdown bench.md --plot bench.svg
//! cargo run --release -p tallyhouse-tests --bin bench -- --beside path/to/another/tallyhouse
//! ```
//!
//! It builds the release binary first, and starts servers of its own: a Postgres with its defaults, which flushes every
//! commit to the disk, and a Redis that appends to its file. Servers, service and senders share the machine, and all
//! ways of a group take turns within one run. Groups that are not named are all but `growth`, which takes minutes.

mod figure;
mod rounds;
mod report;
mod plot;
mod kit;
mod ways;
mod floors;
mod groups;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use tallyhouse_tests::bench::build::build;
use tallyhouse_tests::bench::machine::Machine;
use tallyhouse_tests::bench::supply::Ids;

use floors::bare_http::{self, StandIn};
use groups::{bulk, growth, latency, messages, mixed, observed, reads, single, sqlite, trips, versions};
use kit::{Kit, Scale};
use rounds::Group;

/// Measures the service beside floors.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Mode>,
    /// What is measured; all but growth, where nothing is named.
    names: Vec<Name>,
    /// Measures next to nothing, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Measures growth, which takes minutes, and whatever else is named.
    #[arg(long)]
    growth: bool,
    /// Lets the ids of growing records follow one another in no order.
    #[arg(long)]
    scattered: bool,
    /// Measures this version beside another binary, and all groups that are named.
    #[arg(long, value_name = "BINARY")]
    beside: Option<PathBuf>,
    /// How often each way is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a round by the clock lasts.
    #[arg(long)]
    seconds: Option<f64>,
    /// Writes every figure of every round to a file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes the tables to a file.
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// Draws the main figures, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Measures the binary that lies beside this one as it is.
    #[arg(long)]
    no_build: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Runs as HTTP without storage; the benchmark does so itself.
    #[command(hide = true)]
    StandIn {
        /// Which one.
        name: StandIn,
    },
}

/// A group of ways that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Name {
    Single,
    Batch,
    Queues,
    Keys,
    Duplicates,
    Mixed,
    Observed,
    Latency,
    Publish,
    Reads,
    Trips,
    Idle,
    Sqlite,
    Growth,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Mode::StandIn { name }) = arguments.command {
        return bare_http::run(name);
    }
    if !arguments.no_build {
        build()?;
    }
    let mut scale = if arguments.quick { Scale::quick() } else { Scale::full() };
    scale.rounds = arguments.rounds.unwrap_or(scale.rounds);
    scale.lasts = arguments.seconds.map_or(scale.lasts, Duration::from_secs_f64);
    scale.growth_ids = if arguments.scattered { Ids::Scattered } else { Ids::Counted };
    let kit = Kit::start(scale)?;
    let machine = Machine::look(&kit.world);
    println!("{}", machine.line());
    let (mut groups, mut failures) = (Vec::new(), Vec::new());
    let beside = arguments.beside.as_ref().map(|other| versions::versions(&kit, other));
    let named = arguments.chosen().into_iter().map(|name| name.measure(&kit));
    for measured in beside.into_iter().chain(named) {
        match measured {
            Ok(group) => {
                print!("{}", report::text(&group));
                groups.push(group);
            }
            // What the others showed is not lost.
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    if let Some(file) = arguments.json {
        let text = serde_json::to_string_pretty(&report::json(&groups, &machine))?;
        fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    if let Some(file) = arguments.markdown {
        fs::write(&file, report::markdown(&groups, &machine)).with_context(|| file.display().to_string())?;
    }
    if let Some(file) = arguments.plot {
        plot::draw(&groups, &file)?;
    }
    ensure!(failures.is_empty(), "not all was measured: {}", failures.join("; "));
    Ok(())
}

impl Arguments {
    fn chosen(&self) -> Vec<Name> {
        let all = Name::value_variants().iter().copied();
        let unnamed = self.names.is_empty() && !self.growth && self.beside.is_none();
        let wanted = |name: &Name| match (*name == Name::Growth, unnamed) {
            (true, _) => self.growth || self.names.contains(name),
            (false, all) => all || self.names.contains(name),
        };
        all.filter(wanted).collect()
    }
}

impl Name {
    fn measure(self, kit: &Kit) -> Result<Group> {
        match self {
            Self::Single => single::single(kit),
            Self::Batch => bulk::batch(kit),
            Self::Queues => bulk::queues(kit),
            Self::Keys => bulk::keys(kit),
            Self::Duplicates => bulk::duplicates(kit),
            Self::Mixed => mixed::mixed(kit),
            Self::Observed => observed::observed(kit),
            Self::Latency => latency::latency(kit),
            Self::Publish => messages::publish(kit),
            Self::Reads => reads::reads(kit),
            Self::Trips => trips::trips(kit),
            Self::Idle => trips::idle(kit),
            Self::Sqlite => sqlite::sqlite(kit),
            Self::Growth => growth::growth(kit),
        }
    }
}
