//! `export`: all matching records as of one moment, from the configured database or over HTTP, as NDJSON or CSV.

mod format;
mod local;
mod over_http;
mod progress;
mod sink;

use std::process::ExitCode;

use crate::cli::ExportArgs;
use crate::output::Output;
use crate::overwrite::FilesRead;
use crate::remote::Remote;
use crate::service::signals::{EXIT_INTERRUPTED, Signals};
use crate::settings::{Environment, Settings};
use progress::Progress;
use sink::Sink;

/// Exports, and prints the number of records unless they went to standard output.
///
/// # Errors
/// The database or the service can't answer, or the output can't be written. An existing file then stays unchanged.
pub(crate) async fn run(args: ExportArgs, settings: &Settings, environment: &Environment) -> anyhow::Result<ExitCode> {
    let remote = Remote::of(&args.remote, environment)?;
    let mut signals = Signals::install()?;
    let format = format::of(args.format, &args.output)?;
    FilesRead::of(settings, &args.remote, environment).check("--output", &args.output)?;
    let mut sink = Sink::open(&args.output, args.gzip)?;
    let progress = Progress::begin(sink.is_terminal());
    let exporting = async {
        match &remote {
            Some(remote) => over_http::copy(remote, &args.filter, format, &mut sink, &progress).await,
            None => local::write(settings, args.filter.filter(), format, &mut sink, &progress).await,
        }
    };
    let exported = tokio::select! {
        exported = exporting => exported,
        _ = signals.next() => {
            progress.end();
            return Ok(ExitCode::from(EXIT_INTERRUPTED));
        }
    };
    progress.end();
    let records = exported?;
    if sink.finish()? {
        let mut out = Output::standard();
        out.line(format!("exported {records}"))?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
