//! `import`: reads files of records into the configured database, or sends them over HTTP.
//!
//! A thread reads and hands over chunks; this task counts the outcomes. Chunks are committed while later ones are read.

mod input;
mod chunks;
mod progress;
mod refusals;
mod report;
mod local;
mod over_http;
mod dry_run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use tallyhouse_pipeline::OutcomeCounts;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::ImportArgs;
use crate::overwrite::FilesRead;
use crate::remote::Remote;
use crate::service::signals::{EXIT_INTERRUPTED, Signals};
use crate::settings::{Environment, Settings, SettingsError};
use chunks::Chunks;
use input::{Chunk, CsvOptions, ReadError, Reading, is_standard_input, read_file};
use progress::Progress;
use refusals::Refusals;
use report::Tally;

/// Chunks that wait between reading and committing: enough that neither waits for the other, few enough that memory
/// stays small.
const CHUNKS_WAITING: usize = 4;

/// Exit code of an import that refused records.
const EXIT_REFUSED: u8 = 1;

/// Imports files, and prints the four counts.
///
/// # Errors
/// A file can't be read, or nothing can be stored. The counts so far are printed all the same.
pub(crate) async fn run(args: ImportArgs, settings: &Settings, environment: &Environment) -> anyhow::Result<ExitCode> {
    let signals = Signals::install()?;
    let remote = Remote::of(&args.remote, environment)?;
    let csv = CsvOptions::new(args.delimiter, args.columns.clone()).map_err(SettingsError)?;
    let bytes_total = check_files(&args.files)?;
    if let Some(errors) = &args.errors {
        files_read(&args, settings, environment).check("--errors", errors)?;
    }
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut tally = Tally {
        counts: OutcomeCounts::default(),
        refusals: Refusals::open(args.errors.as_deref())?,
        progress: Progress::begin(bytes_total, Arc::clone(&bytes_read)),
    };
    let reading = Reading { format: args.format, csv, keep_input: args.errors.is_some(), bytes_read };
    let (chunks, reader) = read_all(args.files, reading);
    let mut chunks = Chunks { chunks, signals, interrupted: false };
    let stored = match remote {
        _ if args.dry_run => dry_run::check_all(&mut chunks, &mut tally).await,
        Some(remote) => over_http::send_all(&remote, &mut chunks, &mut tally).await,
        None => local::store_all(settings, &mut chunks, &mut tally).await,
    };
    let interrupted = chunks.interrupted;
    drop(chunks);
    // After a signal the reader thread is not joined: while it waits for a terminal or a pipe, it does not notice that
    // its channel is closed.
    let read = if interrupted { Ok(()) } else { reader.await.context("reading broke off")? };
    tally.end(args.dry_run)?;
    stored?;
    match read {
        Ok(()) | Err(ReadError::Cancelled) => {}
        Err(error) if args.dry_run => return Err(error).context("the files were not checked to their end"),
        Err(error) => return Err(error).context("the import is not complete; what is counted above is stored"),
    }
    Ok(match (interrupted, tally.counts.refused()) {
        (true, _) => ExitCode::from(EXIT_INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(EXIT_REFUSED),
    })
}

/// Checks that all files exist before the first is read. Returns their total length, if it is known.
fn check_files(files: &[PathBuf]) -> anyhow::Result<Option<u64>> {
    let mut total = Some(0);
    for file in files {
        if is_standard_input(file) {
            total = None;
            continue;
        }
        let about = std::fs::metadata(file).with_context(|| format!("{} can't be opened", file.display()))?;
        anyhow::ensure!(!about.is_dir(), "{} is a folder; name the files in it", file.display());
        if about.is_file() && about.len() == 0 {
            crate::output::note(&format!("{} is empty", file.display()));
        }
        // Pipes and the like have a length of 0.
        total = total.filter(|_| about.is_file()).map(|total| total + about.len());
    }
    Ok(total)
}

/// Returns the files that `--errors` must not overwrite.
fn files_read(args: &ImportArgs, settings: &Settings, environment: &Environment) -> FilesRead {
    let mut files = FilesRead::of(settings, &args.remote, environment);
    for file in &args.files {
        if is_standard_input(file) { files.add_standard_input() } else { files.add(file) }
    }
    files
}

fn read_all(files: Vec<PathBuf>, reading: Reading) -> (mpsc::Receiver<Chunk>, JoinHandle<Result<(), ReadError>>) {
    let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING);
    let reader = tokio::task::spawn_blocking(move || {
        let mut take = |chunk| chunks.blocking_send(chunk).is_ok();
        files.iter().try_for_each(|file| read_file(file, &reading, &mut take))
    });
    (waiting, reader)
}
