//! The log: events to standard error, as text for people or as JSON for machines.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogSettings, SettingsError};

/// Starts the log of this process.
///
/// # Errors
/// The filter is not one.
pub(crate) fn start(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        SettingsError(format!("the setting log.filter = {:?} is no filter: {error}", settings.filter))
    })?;
    let terminal = stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(terminal);
    let started = if settings.json.unwrap_or(!terminal) {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        log.with_target(false).try_init()
    };
    started.map_err(|error| SettingsError(format!("the log can't be started: {error}")))
}
