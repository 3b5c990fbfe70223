//! `watch`: follows messages from the configured database or over HTTP, one CloudEvent per line.

mod local;
mod over_http;
mod sse;

use std::process::ExitCode;

use tallyhouse_pipeline::{CursorError, Topic};

use crate::cli::{TopicName, WatchArgs};
use crate::output::{Output, printable};
use crate::remote::Remote;
use crate::service::signals::Signals;
use crate::settings::{Environment, Settings, SettingsError};

/// Follows messages until a signal, or until standard output is closed.
///
/// # Errors
/// The database or the service refuses. An unavailable one is retried.
pub(crate) async fn run(args: WatchArgs, settings: &Settings, environment: &Environment) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::install()?;
    let topic = match args.topic {
        TopicName::Notifications => Topic::Notifications,
        TopicName::Alerts => Topic::Alerts,
    };
    let remote = Remote::of(&args.remote, environment)?;
    let after = args.after.as_deref();
    let following = async {
        match remote {
            Some(remote) => over_http::follow(&remote, topic, after).await,
            None => {
                let after = after.map(str::parse).transpose();
                let after = after.map_err(|error: CursorError| SettingsError(format!("--after {error}")))?;
                local::follow(settings, topic, after).await
            }
        }
    };
    tokio::select! {
        // A signal is the usual end of this command.
        _ = signals.next() => Ok(ExitCode::SUCCESS),
        followed = following => followed.map(|()| ExitCode::SUCCESS),
    }
}

/// Writes one message and flushes: the reader waits for it.
fn print(out: &mut Output, message: &str) -> anyhow::Result<()> {
    out.line(printable(message))?;
    out.flush()
}
