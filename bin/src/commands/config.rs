//! `config`: shows the effective settings, checks them, or writes a settings file to begin with.

use std::process::ExitCode;

use tallyhouse_http::{KeyRing, TlsIdentity};

use crate::output::Output;
use crate::service::queues::open_client;
use crate::settings::{Settings, SettingsError, template};

/// Prints the effective settings.
///
/// # Errors
/// Standard output can't be written.
pub(super) fn show(settings: &Settings) -> anyhow::Result<ExitCode> {
    answer(&settings.to_toml())
}

/// Checks the settings and the files that they name. Connects to nothing.
///
/// # Errors
/// A setting or a file is wrong.
pub(super) fn check(settings: &Settings) -> anyhow::Result<ExitCode> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| SettingsError(format!("{what} is wrong: {error}"));
    if let Some(file) = &settings.keys_file {
        KeyRing::open(file).map_err(|error| wrong("the setting auth.keys_file", &error))?;
    }
    if let Some(files) = &settings.tls {
        TlsIdentity::open(&files.cert_file, &files.key_file).map_err(|error| wrong("the section tls", &error))?;
    }
    if let Some(redis) = settings.redis.clone() {
        open_client(redis)?;
    }
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
