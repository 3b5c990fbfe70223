//! The long form of the chaos suite: the real service under load while everything around it fails.
//!
//! ```sh
//! cargo build --release -p tallyhouse && cargo run --release -p tallyhouse-tests --bin chaos -- --minutes 30
//! ```
//!
//! Further: `--seed N` for the choices of an earlier run, `--instances N`, `--rate N` (records a second). What it shows
//! is described in docs/TESTING.md. It ends with 1 if anything is wrong, and says where the logs are.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tallyhouse_tests::chaos::{Length, Settings, run};
use tallyhouse_tests::data::seed::Seed;
use tallyhouse_tests::folder::binary;

fn main() -> Result<ExitCode> {
    let settings = settings(std::env::args().skip(1))?;
    let report = run(&settings)?;
    println!("{report}logs                    {}", settings.logs.display());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings(mut args: impl Iterator<Item = String>) -> Result<Settings> {
    let (mut minutes, mut seed, mut instances, mut rate) = (30, None, 3, 400);
    while let Some(name) = args.next() {
        let value: u64 = args.next().with_context(|| format!("{name} wants a number"))?.parse()?;
        match name.as_str() {
            "--minutes" => minutes = value,
            "--seed" => seed = Some(value),
            "--instances" => instances = usize::try_from(value)?,
            "--rate" => rate = u32::try_from(value)?,
            _ => bail!("there is no {name}: --minutes, --seed, --instances and --rate are"),
        }
    }
    let seed = seed.unwrap_or_else(Seed::drawn);
    let logs = binary().with_file_name(format!("chaos-{seed}"));
    let length = Length::For(Duration::from_secs(60 * minutes));
    Ok(Settings { seed, length, instances, rate, brevity: 1, recovery_max: Duration::from_secs(30), logs })
}
