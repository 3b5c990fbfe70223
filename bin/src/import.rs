//! `import`: files of records into the configured database, or over HTTP.
//!
//! Reading has a thread of its own and hands over chunks; what comes of them is counted here. A chunk is on its way to
//! the database while the next ones are read.

mod input;
mod local;
mod over_http;
mod progress;
mod refusals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use tallyhouse_pipeline::OutcomeCounts;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::ImportArgs;
use crate::output::Output;
use crate::remote::Remote;
use crate::service::signals::{EXIT_INTERRUPTED, Signals};
use crate::settings::{Environment, Settings};
use input::{Chunk, ReadError, Reading, is_standard_input, read_file};
use progress::Progress;
use refusals::Refusals;

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
    let bytes_total = check_files(&args.files)?;
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut tally = Tally {
        counts: OutcomeCounts::default(),
        refusals: Refusals::begin(args.errors.as_deref())?,
        progress: Progress::begin(bytes_total, Arc::clone(&bytes_read)),
    };
    let reading = Reading { format: args.format, keep_input: args.errors.is_some(), bytes_read };
    let (chunks, reader) = read_all(args.files, reading);
    let mut chunks = Chunks { chunks, signals, interrupted: false };
    let stored = match remote {
        Some(remote) => over_http::send_all(&remote, &mut chunks, &mut tally).await,
        None => local::store_all(settings, &mut chunks, &mut tally).await,
    };
    let interrupted = chunks.interrupted;
    drop(chunks);
    // A reader that waits for a terminal or a pipe would not notice that nobody takes its records.
    let read = if interrupted { Ok(()) } else { reader.await.context("reading broke off")? };
    tally.end()?;
    stored?;
    match read {
        Ok(()) | Err(ReadError::CommitFailure) => {}
        Err(error) => return Err(error).context("the import is not complete; what is counted above is stored"),
    }
    Ok(match (interrupted, tally.counts.refused()) {
        (true, _) => ExitCode::from(EXIT_INTERRUPTED),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(EXIT_REFUSED),
    })
}

/// Checks that all files are there before the first is read, and returns how long they are together, if that is known.
fn check_files(files: &[PathBuf]) -> anyhow::Result<Option<u64>> {
    let mut total = Some(0);
    for file in files {
        if is_standard_input(file) {
            total = None;
            continue;
        }
        let about = std::fs::metadata(file).with_context(|| format!("{} can't be opened", file.display()))?;
        anyhow::ensure!(!about.is_dir(), "{} is a folder; name the files in it", file.display());
        // Pipes and the like have a length of 0.
        total = total.filter(|_| about.is_file()).map(|total| total + about.len());
    }
    Ok(total)
}

fn read_all(files: Vec<PathBuf>, reading: Reading) -> (mpsc::Receiver<Chunk>, JoinHandle<Result<(), ReadError>>) {
    let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING);
    let reader = tokio::task::spawn_blocking(move || {
        let mut take = |chunk| chunks.blocking_send(chunk).is_ok();
        files.iter().try_for_each(|file| read_file(file, &reading, &mut take))
    });
    (waiting, reader)
}

/// What is read, until the end or a signal.
struct Chunks {
    chunks: mpsc::Receiver<Chunk>,
    signals: Signals,
    interrupted: bool,
}

impl Chunks {
    /// Returns the next chunk, `None` after the last and after a signal. Cancelling the call loses nothing.
    async fn next(&mut self) -> Option<Chunk> {
        if self.interrupted {
            return None;
        }
        tokio::select! {
            biased;
            _ = self.signals.next() => {
                self.interrupted = true;
                None
            }
            chunk = self.chunks.recv() => chunk,
        }
    }
}

/// What came of the records so far.
struct Tally {
    counts: OutcomeCounts,
    refusals: Refusals,
    progress: Progress,
}

impl Tally {
    /// Ends the display, and prints the counts.
    fn end(&mut self) -> anyhow::Result<()> {
        self.progress.end();
        self.refusals.end()?;
        let OutcomeCounts { processed, duplicates, conflicts, rejected } = self.counts;
        let mut out = Output::standard();
        out.line(format!(
            "processed {processed}  duplicates {duplicates}  conflicts {conflicts}  rejected {rejected}"
        ))?;
        out.flush()
    }
}
