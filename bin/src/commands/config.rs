//! `config`: shows the effective settings, checks them, or writes a settings file to begin with.

use std::process::ExitCode;

use crate::output::Output;
use crate::service::preflight::{Preflight, check_database};
use crate::settings::{Settings, template};

/// Prints the effective settings.
///
/// # Errors
/// Standard output can't be written.
pub(super) fn show(settings: &Settings) -> anyhow::Result<ExitCode> {
    answer(&settings.to_toml())
}

/// Checks the settings and the files that they name, as a start does. Connects to nothing.
///
/// # Errors
/// A setting or a file is wrong.
pub(super) async fn check(settings: &Settings) -> anyhow::Result<ExitCode> {
    Preflight::of(settings).await?;
    check_database(settings).await?;
    answer("the settings are right\n")
}

/// Prints a settings file with every default, commented out.
///
/// # Errors
/// Standard output can't be written.
pub(super) fn init() -> anyhow::Result<ExitCode> {
    answer(&template())
}

fn answer(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = Output::standard();
    out.write(text)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
