//! Tallyhouse: processes records exactly once, notifies, alerts, and answers with exact totals.
//!
//! The program `tallyhouse`: `cli` defines the command line, `settings` the settings, `commands` runs a command. The
//! service itself is wired in `service`.

mod cli;
mod settings;
mod clock;
mod output;
mod database;
mod telemetry;
mod service;
mod import;
mod remote;
mod aggregate;
mod export;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;

use output::OutputClosed;
use settings::SettingsError;

// Records are many small allocations, made and freed on several threads: mimalloc is faster at that than glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a wrong command line or setting, the same as clap's.
const EXIT_USAGE: u8 = 2;
/// Exit code of a command that failed.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let error = match commands::run(cli::Cli::parse()) {
        Ok(code) => return code,
        Err(error) => error,
    };
    if error.is::<OutputClosed>() {
        return ExitCode::SUCCESS;
    }
    // Some causes, libpq's among them, come in several lines.
    let text = format!("{error:#}");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("error: {}", lines.join("; "));
    ExitCode::from(if error.is::<SettingsError>() { EXIT_USAGE } else { EXIT_FAILURE })
}
