//! The log: events to standard error, as text for people or as JSON for machines.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::settings::{LogSettings, SettingsError};

/// The filter directive that shows a line for each request.
const REQUESTS: &str = "tallyhouse_http::requests=debug";

/// Starts the log of this process.
///
/// # Errors
/// The filter can't be parsed, or this process has a log already.
pub(crate) fn start(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = filter(settings)?;
    let terminal = stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(terminal);
    let started = if settings.json.unwrap_or(!terminal) {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        log.with_target(false).try_init()
    };
    started.map_err(|error| SettingsError(format!("the log can't be started: {error}")))
}

/// Builds the filter: `log.filter`, and a line for each request where `log.requests` is set.
fn filter(settings: &LogSettings) -> Result<EnvFilter, SettingsError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        SettingsError(format!("the setting log.filter = {:?} is no filter: {error}", settings.filter))
    })?;
    if !settings.requests {
        return Ok(filter);
    }
    let requests =
        REQUESTS.parse().map_err(|error: ParseError| SettingsError(format!("requests can't be logged: {error}")))?;
    Ok(filter.add_directive(requests))
}
