//! An import into the configured database, through the pipeline of the service. Messages stay owed: a service that
//! runs on this database, now or later, publishes them.

use std::sync::Arc;

use anyhow::anyhow;
use tallyhouse_pipeline::{
    Arrival, Ingress, OrderedChunks, OrderedIngress, Outcome, Pipeline, PipelineParts, PipelineSettings, Rejection,
    SubmitError,
};
use tokio::task::JoinSet;

use super::input::Chunk;
use super::{Chunks, Tally};
use crate::clock::SystemClock;
use crate::database::{Database, Schema};
use crate::settings::Settings;

/// Chunks that are on their way to the database at once: those under way, and the next, which must not wait.
const CHUNKS_SUBMITTED: usize = OrderedIngress::UNDER_WAY_MAX + 1;

/// Stores everything that is read.
///
/// # Errors
/// The database can't be used, or not any more.
pub(super) async fn store_all(settings: &Settings, chunks: &mut Chunks, tally: &mut Tally) -> anyhow::Result<()> {
    let store = Database::open(settings, Schema::Migrate).await?;
    let (pipeline, driver) = Pipeline::new(PipelineParts {
        repository: store.store.clone(),
        clock: Arc::new(SystemClock::start()),
        rules: settings.rules.clone(),
        publisher: None,
        settings: PipelineSettings { writers: OrderedIngress::UNDER_WAY_MAX, ..settings.pipeline },
    });
    let mut work = JoinSet::new();
    driver.into_tasks().into_iter().for_each(|task| {
        work.spawn(task);
    });
    let stored = submit_all(&pipeline.ingress(), chunks, tally).await;
    pipeline.close();
    while work.join_next().await.is_some() {}
    stored
}

/// Submits everything in the order of the files: the sequence of the records of a key is theirs.
async fn submit_all(ingress: &Ingress, chunks: &mut Chunks, tally: &mut Tally) -> anyhow::Result<()> {
    let mut submitted = OrderedChunks::new(ingress);
    let mut more = true;
    while more || !submitted.is_empty() {
        tokio::select! {
            Some(done) = submitted.next() => count(done, tally)?,
            chunk = chunks.next(), if more && submitted.len() < CHUNKS_SUBMITTED => match chunk {
                Some(chunk) => submit(&mut submitted, chunk),
                None => more = false,
            },
        }
    }
    Ok(())
}

/// A chunk that was committed: each item with what is wrong with it, and what came of the records among them.
struct Done {
    chunk: Refusals,
    outcomes: Result<Vec<Outcome>, SubmitError>,
}

/// A chunk whose records are under way.
struct Refusals {
    file: Arc<str>,
    items: Vec<Place>,
}

/// Where an item came from, and why it is no record, if it is none.
struct Place {
    line: u64,
    input: Option<Box<str>>,
    rejection: Option<Rejection>,
}

fn submit(submitted: &mut OrderedChunks<Done>, chunk: Chunk) {
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
        items.push(Place { line: item.line, input: item.input, rejection });
    }
    let chunk = Refusals { file: chunk.file, items };
    submitted.push(arrivals, |outcomes| async move { Done { chunk, outcomes: outcomes.await } });
}

fn count(done: Done, tally: &mut Tally) -> anyhow::Result<()> {
    let Done { chunk, outcomes } = done;
    let first = chunk.items.first().map_or(0, |place| place.line);
    let mut outcomes = outcomes
        .map_err(|error| {
            anyhow!(
                "{}:{first}: {error}; what is counted above is stored, the rest can be imported again safely",
                chunk.file
            )
        })?
        .into_iter();
    for place in chunk.items {
        let outcome = match place.rejection {
            Some(rejection) => Some(Outcome::Rejected(rejection)),
            None => outcomes.next(),
        };
        // One outcome for each record: the port promises it.
        let outcome =
            outcome.ok_or_else(|| anyhow!("the database gave no outcome for {}:{}", chunk.file, place.line))?;
        tally.counts.count(&outcome);
        match outcome {
            Outcome::Processed(_) | Outcome::Duplicate { .. } => {}
            Outcome::Conflict { .. } | Outcome::Rejected(_) => {
                tally.refusals.keep(&tally.progress, &chunk.file, place.line, place.input.as_deref(), &outcome)?;
            }
        }
    }
    tally.progress.show(&tally.counts);
    Ok(())
}
