//! The log: events to standard error, as text for people or as JSON for machines.

mod queue;

use std::io::{IsTerminal as _, stderr};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::settings::{LogSettings, SettingsError};
use queue::{FLUSH_TIMEOUT, LogQueue};

/// The filter directive that shows a line for each request.
const REQUESTS: &str = "tallyhouse_http::requests=debug";

/// The libraries that talk to clients, and warn about clients' input: anyone who can connect could fill the log. So
/// only their errors are logged; the service itself logs the consequences. `reqwest` would log the URL of the collector of
/// traces, whose login is a secret.
const LIBRARIES: [&str; 6] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "tokio_rustls"];

/// The queue of this process. The subscriber is global, too.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Starts the log of this process.
///
/// # Errors
/// The filter can't be parsed, or this process has a log already.
pub(crate) fn start(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = filter(settings)?;
    let terminal = stderr().is_terminal();
    let failed = |error: &dyn std::fmt::Display| SettingsError(format!("the log can't be started: {error}"));
    let queue = LogQueue::start(stderr()).map_err(|error| failed(&error))?;
    let lines = queue.clone();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || lines.clone()).with_ansi(terminal);
    let started = if settings.json.unwrap_or(!terminal) {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        log.with_target(false).try_init()
    };
    started.map_err(|error| failed(&error))?;
    // `try_init` succeeds once per process, so that the cell is empty.
    drop(QUEUE.set(queue));
    Ok(())
}

/// Returns how many lines of the log were lost, because they could not be written, or not fast enough.
pub(crate) fn lost_lines() -> u64 {
    QUEUE.get().map_or(0, LogQueue::lost)
}

/// Writes the error that ends the program, after all lines of the log. Does not wait for a stalled reader.
pub(crate) fn finish(error: Option<String>) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
    if let Some(error) = error {
        queue::write_within(error, FLUSH_TIMEOUT);
    }
}

/// Says whether a directive is a word that is no level. [`EnvFilter`] takes it for a target, and then logs nothing else:
/// a typing error would silence the log.
fn lacks_level(directive: &str) -> bool {
    let word = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
    let is_level = !word.trim().is_empty() && word.trim().parse::<LevelFilter>().is_ok();
    !directive.is_empty() && !directive.contains(['[', '{']) && !is_level
}

/// Builds the filter: `log.filter`, only errors of the libraries that it does not name, and a line for each request where `log.requests` is set.
fn filter(settings: &LogSettings) -> Result<EnvFilter, SettingsError> {
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        SettingsError(format!("the setting log.filter = {:?} is not a filter: {error}", settings.filter))
    })?;
    if let Some(word) = settings.filter.split(',').map(str::trim).find(|directive| lacks_level(directive)) {
        return Err(SettingsError(format!(
            "the setting log.filter = {:?} is not a filter: {word:?} is no level; it can be off, error, warn, info, debug, \
             trace, or a target with a level, e.g. tallyhouse_pipeline=debug",
            settings.filter
        )));
    }
    let target = |directive: &'_ str| directive.trim().split(['=', '[', ':']).next().unwrap_or_default().to_owned();
    let named = |library: &&str| settings.filter.split(',').any(|directive| target(directive) == **library);
    let quiet = LIBRARIES
        .iter()
        .filter(|library| !named(library))
        .try_fold(filter, |filter, library| Ok(filter.add_directive(format!("{library}=error").parse()?)));
    let filter = quiet.map_err(|error: ParseError| SettingsError(format!("the log can't be filtered: {error}")))?;
    if !settings.requests {
        return Ok(filter);
    }
    let requests =
        REQUESTS.parse().map_err(|error: ParseError| SettingsError(format!("requests can't be logged: {error}")))?;
    Ok(filter.add_directive(requests))
}

#[cfg(test)]
mod tests;
