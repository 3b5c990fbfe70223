//! `POST /v1/records/batch` with NDJSON: streamed both ways, without a limit on lines, in bounded memory.
//!
//! Lines are gathered while the chunk before them is committed, and submitted once that is done: a fast sender fills
//! chunks, a slow one gets each line answered at once. A full chunk is submitted earlier, through an ordered ingress:
//! lines are processed in their order, however many writers there are.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use hyper::header::HeaderMap;
use serde::Serialize;
use tallyhouse_pipeline::ports::RecordReader;
use tallyhouse_pipeline::{Ingress, OrderedChunks, OutcomeCounts, Record, Rejection, SubmitError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use warp::reply::Response;

use crate::access::rate_limit::Meter;
use crate::app::state::App;
use crate::bounds::caller::Caller;
use crate::endpoints::writing::chunk::Chunk;
use crate::endpoints::writing::result::WriteResult;
use crate::endpoints::writing::results::WaitingResults;
use crate::exchange::context::RequestContext;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::lines::{Line, Lines};
use crate::exchange::request::traceparent;
use crate::exchange::response::stream::{self, BodyWriter, Broken};

/// How many bytes of lines a chunk is made of at most; what is kept of them is less.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// How many bytes of blank lines draw a unit from the rate limit: they are read, and have no result.
const BLANK_BYTES_PER_UNIT: usize = 64 * 1024;

/// Answers a batch in NDJSON. The head of the response is sent before the body has arrived.
pub(crate) async fn write(
    app: &Arc<App>,
    failed_only: bool,
    headers: &HeaderMap,
    mut body: RequestBody,
    context: &RequestContext,
    meter: Option<Meter>,
) -> Response {
    let stall_timeout = app.settings.stall_timeout;
    let long_lines = Arc::clone(&context.connection.long_lines);
    let (app, caller, traceparent) = (Arc::clone(app), context.caller.clone(), traceparent::of(headers));
    body.invite().await;
    stream::answer("application/x-ndjson", stall_timeout, context, move |body_writer| async move {
        let input = Input {
            body,
            piece: Bytes::new(),
            lines: Lines::new(app.settings.record_bytes_max),
            line_bytes_max: app.settings.record_bytes_max,
            traceparent,
            long_lines,
            long_line: None,
            ended: false,
        };
        let output =
            Output { body_writer, failed_only, index: 0, counts: OutcomeCounts::default(), gathered: Vec::new() };
        converse(&app, &caller, meter.as_ref(), input, output).await
    })
}

/// The chunks on their way through the pipeline.
type Committing = OrderedChunks<Result<WaitingResults, SubmitError>>;

async fn converse(
    app: &App,
    caller: &Caller,
    meter: Option<&Meter>,
    mut input: Input,
    mut output: Output,
) -> Result<BodyWriter, Broken> {
    let ingress = &app.http.ingress;
    let (reader, failed_only) = (app.reader(caller), output.failed_only);
    let none = || WaitingResults::none(&app.result_room, caller, failed_only);
    let mut gathered = Gathered::new(ingress, meter);
    if let Some(meter) = meter {
        // The call itself draws one unit, which its first line need not draw again.
        tokio::select! {
            () = meter.acquire_when_available(1) => {}
            () = output.body_writer.gone() => return Err(Broken::Gone),
        }
    }
    let mut committing = OrderedChunks::new(ingress);
    loop {
        input.gather(&mut gathered);
        if let Some(meter) = meter.filter(|_| gathered.blank_bytes >= BLANK_BYTES_PER_UNIT) {
            gathered.blank_bytes = 0;
            tokio::select! {
                () = meter.acquire_when_available(1) => {}
                () = output.body_writer.gone() => return Err(Broken::Gone),
            }
        }
        if has_room(&committing, &gathered) && !gathered.is_empty() {
            // A client that has more to send right now fills the chunk first.
            if !gathered.is_full() && !input.ended && input.read().now_or_never().transpose()?.is_some() {
                continue;
            }
            submit(app, &mut committing, meter, gathered.take(), none());
            // There may be more in what was read.
            continue;
        }
        let reads = !input.ended && !gathered.is_full();
        let waits_for_client = committing.is_empty();
        if waits_for_client && !reads {
            return output.finish().await;
        }
        tokio::select! {
            biased;
            Some(results) = committing.next() => {
                let results = results?;
                // The next chunk is on its way before the results of this one are written.
                if has_room(&committing, &gathered) && !gathered.is_empty() {
                    submit(app, &mut committing, meter, gathered.take(), none());
                }
                output.write(results, Arc::clone(&reader)).await?;
            }
            more = timeout(app.settings.stall_timeout, input.read()), if reads => match more {
                Ok(more) => more?,
                Err(_elapsed) if waits_for_client => return Err(Broken::Stalled),
                // Storage has limits of its own.
                Err(_elapsed) => {}
            },
            () = output.body_writer.gone() => return Err(Broken::Gone),
        }
    }
}

/// Says whether what was gathered may be submitted: what is less than a chunk waits for the one before.
fn has_room(committing: &Committing, gathered: &Gathered) -> bool {
    committing.is_empty() || (committing.has_room() && gathered.is_full())
}

/// Sends a chunk on its way. It has entered the intake, or waits there for room, or for its turn by the rate limit or
/// behind the chunk before, when this returns.
fn submit(
    app: &App,
    committing: &mut Committing,
    meter: Option<&Meter>,
    (chunk, units): (Chunk, usize),
    mut results: WaitingResults,
) {
    let ingress = app.http.ingress.clone();
    let meter = meter.cloned();
    let refused = chunk.refused;
    committing.push(chunk.arrivals, |submission| async move {
        if let Some(meter) = meter.filter(|_| units > 0) {
            meter.acquire_when_available(units).await;
        }
        let outcomes = submission.await?;
        ingress.count_refused(refused.count());
        results.add(refused.rejoin(outcomes));
        Ok(results)
    });
}

/// Lines that wait to be submitted together.
struct Gathered {
    chunk: Chunk,
    bytes: usize,
    records_max: usize,
    /// Bytes of blank lines that have drawn nothing yet, with their ends.
    blank_bytes: usize,
    /// Units that were drawn beforehand.
    drawn: usize,
}

impl Gathered {
    fn new(ingress: &Ingress, meter: Option<&Meter>) -> Self {
        let at_once = meter.map_or(usize::MAX, Meter::records_at_once);
        let records_max = ingress.chunk_records_max().min(at_once).max(1);
        Self { chunk: Chunk::default(), bytes: 0, records_max, blank_bytes: 0, drawn: 1 }
    }

    fn is_empty(&self) -> bool {
        self.chunk.len() == 0
    }

    fn is_full(&self) -> bool {
        self.chunk.len() >= self.records_max || self.bytes >= CHUNK_BYTES_MAX
    }

    /// Takes the chunk, and the units that it has to draw.
    fn take(&mut self) -> (Chunk, usize) {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        let units = chunk.len() - std::mem::take(&mut self.drawn);
        (chunk, units)
    }

    fn push(&mut self, line: &Line<'_>, line_bytes_max: usize, traceparent: Option<&String>) {
        let record = match line {
            Line::Whole(line) if is_blank(line) => {
                self.blank_bytes += line.len() + 1;
                return;
            }
            Line::Whole(line) => {
                self.bytes += line.len();
                Record::from_json(line)
            }
            Line::TooLong => Err(Rejection::too_large(line_bytes_max)),
        };
        self.chunk.push(record, traceparent);
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

/// The client's side.
struct Input {
    body: RequestBody,
    piece: Bytes,
    lines: Lines,
    line_bytes_max: usize,
    traceparent: Option<String>,
    long_lines: Arc<Semaphore>,
    /// The permit to keep a long partial line.
    long_line: Option<OwnedSemaphorePermit>,
    ended: bool,
}

impl Input {
    /// Gathers lines out of what was read, as far as there is room.
    fn gather(&mut self, gathered: &mut Gathered) {
        let traceparent = self.traceparent.as_ref();
        while !gathered.is_full() {
            let Some(line) = self.lines.next(&mut self.piece) else { break };
            gathered.push(&line, self.line_bytes_max, traceparent);
        }
        if !self.lines.is_long() {
            self.long_line = None;
        }
        if self.ended
            && !gathered.is_full()
            && let Some(line) = self.lines.last()
        {
            gathered.push(&line, self.line_bytes_max, traceparent);
        }
    }

    /// Reads on. Cancelling the call loses nothing.
    async fn read(&mut self) -> Result<(), Broken> {
        // What was read before is gathered first.
        if !self.piece.is_empty() {
            return Ok(());
        }
        if self.lines.is_long() && self.long_line.is_none() {
            // The semaphore is never closed.
            self.long_line = Arc::clone(&self.long_lines).acquire_owned().await.ok();
        }
        match self.body.next().await {
            Some(piece) => self.piece = piece?,
            None => self.ended = true,
        }
        Ok(())
    }
}

/// Our side.
struct Output {
    body_writer: BodyWriter,
    failed_only: bool,
    /// Of the next line that is not blank.
    index: u64,
    counts: OutcomeCounts,
    gathered: Vec<u8>,
}

impl Output {
    async fn write(&mut self, results: WaitingResults, reader: Arc<dyn RecordReader>) -> Result<(), Broken> {
        let counts = results.counts();
        let mut results = results.send(reader);
        while let Some((index, outcome)) = results.next().await? {
            self.line(&WriteResult { index: Some(self.index + index), outcome: &outcome });
            self.body_writer.send_if_large(&mut self.gathered).await?;
        }
        self.index += counts.all();
        self.counts.add(counts);
        self.flush().await
    }

    async fn finish(mut self) -> Result<BodyWriter, Broken> {
        if self.failed_only {
            let counts = self.counts;
            self.line(&counts);
            self.flush().await?;
        }
        Ok(self.body_writer)
    }

    fn line(&mut self, line: &impl Serialize) {
        serde_json::to_writer(&mut self.gathered, line).expect("results and counts are always JSON");
        self.gathered.push(b'\n');
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        if self.gathered.is_empty() { Ok(()) } else { self.body_writer.send(std::mem::take(&mut self.gathered)).await }
    }
}

#[cfg(test)]
mod tests;
