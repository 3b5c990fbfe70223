//! Tallyhouse: processes records exactly once, notifies, alerts, and answers with exact totals.
//!
//! The program of that name: `cli` says what can be asked for, `settings` what can be set, `commands` goes from the one
//! to the other. The service itself is wired in `service`.

mod cli;
mod settings;
mod logging;
mod traces;
mod metrics;
mod clock;
mod output;
mod overwrite;
mod store;
mod service;
mod import;
mod remote;
mod aggregate;
mod export;
mod watch;
mod dead_letters;
mod keys;
mod man;
mod commands;

use std::process::ExitCode;

use clap::Parser as _;

use output::OutputClosed;
use overwrite::OutputRefused;
use settings::SettingsError;

// The service makes and drops many small texts on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line or a setting is wrong; clap exits with the same for its part.
const EXIT_USAGE: u8 = 2;
/// The program could not do what was asked.
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
    let is_usage = error.is::<SettingsError>() || error.is::<OutputRefused>();
    ExitCode::from(if is_usage { EXIT_USAGE } else { EXIT_FAILURE })
}
