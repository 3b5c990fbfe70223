//! An import into the configured database, through the pipeline of the service. The messages stay in the outbox: a
//! service that runs on this database, now or later, publishes them.

use std::sync::Arc;

use anyhow::anyhow;
use tallyhouse_pipeline::{
    Arrival, Ingress, OrderedChunks, OrderedIngress, Outcome, Pipeline, PipelineParts, PipelineSettings, Rejection,
    SubmitError,
};
use tokio::task::JoinSet;

use super::chunks::Chunks;
use super::input::Chunk;
use super::report::Tally;
use crate::database::{Database, Schema};
use crate::settings::Settings;
use tallyhouse_pipeline::TokioClock;

/// Chunks that are submitted at once: those being committed, and the next one, so that the next commit never waits for
/// input.
const CHUNKS_SUBMITTED: usize = OrderedIngress::IN_FLIGHT_MAX + 1;

/// Stores all chunks.
///
/// # Errors
/// The database can't be used, or fails during the import.
pub(super) async fn store_all(settings: &Settings, chunks: &mut Chunks, tally: &mut Tally) -> anyhow::Result<()> {
    let store = Database::open(settings, Schema::Migrate).await?;
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: store.store.clone(),
        clock: Arc::new(TokioClock::start()),
        rules: settings.rules.clone(),
        publisher: None,
        settings: PipelineSettings { writers: OrderedIngress::IN_FLIGHT_MAX, ..settings.pipeline },
    });
    let mut tasks = JoinSet::new();
    driver.into_tasks().into_iter().for_each(|task| {
        tasks.spawn(task);
    });
    let stored = submit_all(&pipeline.ingress(), chunks, tally).await;
    pipeline.close();
    while tasks.join_next().await.is_some() {}
    stored
}

/// Submits the chunks in the order of the files, because this order decides the sequences of a key's records.
async fn submit_all(ingress: &Ingress, chunks: &mut Chunks, tally: &mut Tally) -> anyhow::Result<()> {
    let mut submitted = OrderedChunks::new(ingress);
    let mut more = true;
    while more || !submitted.is_empty() {
        tokio::select! {
            Some(committed) = submitted.next() => count(committed, tally)?,
            chunk = chunks.next(), if more && submitted.len() < CHUNKS_SUBMITTED => match chunk {
                Some(chunk) => submit(&mut submitted, chunk),
                None => more = false,
            },
        }
    }
    Ok(())
}

/// A chunk that was committed, with the outcomes of its valid records.
struct Committed {
    chunk: SubmittedChunk,
    outcomes: Result<Vec<Outcome>, SubmitError>,
}

/// A chunk whose records were submitted.
struct SubmittedChunk {
    file: Arc<str>,
    items: Vec<SubmittedItem>,
}

/// One input of a file, with the reason why it is no valid record, if it is none.
struct SubmittedItem {
    line: u64,
    input: Option<Box<str>>,
    rejection: Option<Rejection>,
}

fn submit(submitted: &mut OrderedChunks<Committed>, chunk: Chunk) {
    let mut arrivals = Vec::with_capacity(chunk.items.len());
    let mut items = Vec::with_capacity(chunk.items.len());
    for item in chunk.items {
        let rejection = match item.record {
            Ok(record) => {
                arrivals.push(Arrival::from(record));
                None
            }
            Err(rejection) => Some(rejection),
        };
        items.push(SubmittedItem { line: item.line, input: item.input, rejection });
    }
    let chunk = SubmittedChunk { file: chunk.file, items };
    submitted.push(arrivals, |outcomes| async move { Committed { chunk, outcomes: outcomes.await } });
}

fn count(committed: Committed, tally: &mut Tally) -> anyhow::Result<()> {
    let Committed { chunk, outcomes } = committed;
    let first = chunk.items.first().map_or(0, |item| item.line);
    let mut outcomes = outcomes
        .map_err(|error| {
            anyhow!(
                "{}:{first}: {error}; what is counted above is stored, the rest can be imported again safely",
                chunk.file
            )
        })?
        .into_iter();
    for item in chunk.items {
        let outcome = match item.rejection {
            Some(rejection) => Some(Outcome::Rejected(rejection)),
            None => outcomes.next(),
        };
        // The port promises one outcome for each record.
        let outcome =
            outcome.ok_or_else(|| anyhow!("the database gave no outcome for {}:{}", chunk.file, item.line))?;
        tally.counts.count(&outcome);
        match outcome {
            Outcome::Processed(_) | Outcome::Duplicate { .. } => {}
            Outcome::Conflict { .. } | Outcome::Rejected(_) => {
                tally.refusals.keep(&tally.progress, &chunk.file, item.line, item.input.as_deref(), &outcome)?;
            }
        }
    }
    tally.progress.show(&tally.counts);
    Ok(())
}
