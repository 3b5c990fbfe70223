//! Tallyhouse: processes records exactly once, notifies, alerts, and answers with exact totals.
//!
//! The program `tallyhouse`: `cli` defines the command line, `settings` the settings, `commands` runs a command. The
//! service itself is wired in `service`.

mod cli;
mod settings;
mod output;
mod database;
mod telemetry;
mod overwrite;
mod service;
mod import;
mod remote;
mod aggregate;
mod export;
mod commands;

use std::process::ExitCode;

use output::{OutputClosed, printable};
use overwrite::OutputRefused;
use settings::SettingsError;
use tallyhouse_pipeline::ErrorChain;
use telemetry::logging;

// Records are many small allocations, made and freed on several threads: mimalloc is faster at that than glibc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a wrong command line or setting, the same as clap's.
const EXIT_USAGE: u8 = 2;
/// Exit code of a command that failed.
const EXIT_FAILURE: u8 = 1;

fn main() -> ExitCode {
    let (code, error) = match commands::run(cli::Cli::parsed()) {
        Ok(code) => (code, None),
        // As in other Unix tools, a closed output is no failure: its reader has read enough.
        Err(error) if error.is::<OutputClosed>() => (ExitCode::SUCCESS, None),
        Err(error) => {
            let is_usage = error.is::<SettingsError>() || error.is::<OutputRefused>();
            let code = if is_usage { EXIT_USAGE } else { EXIT_FAILURE };
            (ExitCode::from(code), Some(one_line(&error)))
        }
    };
    logging::finish(error);
    code
}

/// Formats an error in one line. Some causes, libpq's among them, have several.
fn one_line(error: &anyhow::Error) -> String {
    let text = ErrorChain(&**error).to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // The text may quote a hostile service, so it is escaped.
    format!("error: {}\n", printable(&lines.join("; ")))
}
