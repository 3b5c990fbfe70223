//! `health`: asks a service whether it is ready, for health checks of containers and supervisors.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use crate::cli::RemoteArgs;
use crate::output::{Output, printable};
use crate::remote::Remote;
use crate::settings::{Environment, Settings};

/// The deadline of the response: shorter than the usual timeout of a container's health check.
const TIMEOUT: Duration = Duration::from_millis(2_500);

/// Exit code of a service that is not ready.
const EXIT_NOT_READY: u8 = 1;

/// Calls `/readyz` at `--url`, or at the configured address, and prints the response.
///
/// # Errors
/// The service can't be reached.
pub(super) async fn run(args: RemoteArgs, settings: &Settings, environment: &Environment) -> anyhow::Result<ExitCode> {
    let url = args.url.clone().unwrap_or_else(|| own_url(&settings.listen, settings.tls.is_some()));
    let is_own = args.url.is_none();
    let args = RemoteArgs { url: Some(url), ..args };
    let remote =
        if is_own { Remote::to_this_machine(&args)? } else { Remote::of(&args, environment)?.context("no --url")? };
    let asked = timeout(TIMEOUT, remote.readiness()).await;
    let (ready, answer) = asked.with_context(|| format!("the service at {} does not answer", remote.address()))??;
    let mut out = Output::standard();
    out.line(printable(answer.trim()))?;
    out.flush()?;
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_READY) })
}

/// Returns the URL by which this machine reaches a service with this `listen`.
fn own_url(listen: &str, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, "8080"));
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    format!("{scheme}://{host}:{port}")
}

#[cfg(test)]
mod tests;
