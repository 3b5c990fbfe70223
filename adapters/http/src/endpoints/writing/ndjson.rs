//! `POST /v1/records/batch` with NDJSON: streamed both ways, without a limit on lines, in bounded memory.
//!
//! Lines are gathered while the previous chunk is being committed, and submitted when that commit is done. So a fast
//! sender fills chunks, and a slow one gets each result at once. A full chunk is submitted earlier. An ordered ingress
//! keeps the order of lines, however many writers there are.

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
use crate::endpoints::writing::pending_results::WaitingResults;
use crate::endpoints::writing::result::WriteResult;
use crate::exchange::context::RequestContext;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::lines::{Line, Lines};
use crate::exchange::request::traceparent;
use crate::exchange::response::stream::{self, BodyWriter, Broken};
use crate::keys::key_ring::{Grant, write_prefixes};
use crate::keys::write_prefixes::WritePrefixes;

/// Most bytes of input lines in a chunk; the parsed records take less memory.
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// So many bytes of blank lines take a unit from the rate limit: blank lines cost work, and have no result.
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
    let (app, caller, grant) = (Arc::clone(app), context.caller.clone(), context.grant.clone());
    let traceparent = traceparent::of(headers);
    body.send_continue().await;
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
        let (meter, ingress) = (meter.as_ref(), &app.http.batch_ingress);
        let exchange = Exchange {
            app: &app,
            caller: &caller,
            meter,
            grant: grant.as_ref(),
            reader: app.reader(&caller),
            input,
            gathered: Gathered::new(ingress, meter),
            committing: OrderedChunks::new(ingress),
            output,
        };
        let ended = exchange.run().await;
        if matches!(ended, Err(Broken::Malformed(_))) {
            app.http.batch_ingress.count_refused(1);
        }
        ended
    })
}

/// The chunks that are being committed.
type Committing = OrderedChunks<Result<WaitingResults, SubmitError>>;

/// The exchange of one batch: its request, its response, and the chunks between them.
struct Exchange<'e> {
    app: &'e App,
    caller: &'e Caller,
    meter: Option<&'e Meter>,
    grant: Option<&'e Grant>,
    reader: Arc<dyn RecordReader>,
    input: Input,
    gathered: Gathered,
    committing: Committing,
    output: Output,
}

impl Exchange<'_> {
    /// Reads, commits and answers until the input ends.
    async fn run(mut self) -> Result<BodyWriter, Broken> {
        // The call takes one unit, which also pays for its first line.
        self.acquire_unit().await?;
        loop {
            // An upload may last: its later lines are judged by the keys file as it is then.
            self.gathered.prefixes = write_prefixes(self.grant).ok_or(Broken::Revoked)?;
            self.input.gather(&mut self.gathered);
            if self.gathered.blank_bytes >= BLANK_BYTES_PER_UNIT {
                self.gathered.blank_bytes = 0;
                self.acquire_unit().await?;
            }
            if self.can_submit() {
                // If more input is ready, it fills the chunk first.
                let may_grow = !self.gathered.is_full() && !self.input.ended;
                let has_grown = may_grow && self.input.read().now_or_never().transpose()?.is_some();
                if !has_grown {
                    self.submit();
                }
                // The piece that was read may hold more lines.
                continue;
            }
            let reads = !self.input.ended && !self.gathered.is_full();
            if self.committing.is_empty() && !reads {
                return self.output.finish().await;
            }
            self.advance(reads).await?;
        }
    }

    /// Waits for a unit of the rate limit, if there is one.
    async fn acquire_unit(&mut self) -> Result<(), Broken> {
        let Some(meter) = self.meter else { return Ok(()) };
        tokio::select! {
            () = meter.acquire_when_available(1) => Ok(()),
            () = self.output.body_writer.closed() => Err(Broken::Disconnected),
        }
    }

    /// Writes the results of the next chunk, or reads the next piece.
    async fn advance(&mut self, reads: bool) -> Result<(), Broken> {
        let waits_for_client = self.committing.is_empty();
        tokio::select! {
            biased;
            Some(results) = self.committing.next() => {
                let results = results?;
                // The next chunk is submitted before the results of this one are written.
                if self.can_submit() {
                    self.submit();
                }
                self.output.write(results, Arc::clone(&self.reader)).await
            }
            more = timeout(self.app.settings.stall_timeout, self.input.read()), if reads => match more {
                Ok(more) => more,
                Err(_elapsed) if waits_for_client => Err(Broken::Stalled),
                // The delay is storage's, which has time-outs of its own.
                Err(_elapsed) => Ok(()),
            },
            () = self.output.body_writer.closed() => Err(Broken::Disconnected),
        }
    }

    /// Says whether the gathered lines may be submitted. A chunk that is not full waits for the chunk before it.
    fn can_submit(&self) -> bool {
        let may_start = self.committing.is_empty() || (self.committing.has_capacity() && self.gathered.is_full());
        may_start && !self.gathered.is_empty()
    }

    /// Submits the gathered lines, and returns at once. The chunk may still wait for the rate limit, for the chunk before
    /// it, or for capacity in the intake.
    fn submit(&mut self) {
        let Ready { chunk, units, prefixes } = self.gathered.take();
        let mut results = WaitingResults::new(&self.app.result_budget, self.caller, self.output.failed_only);
        let (ingress, meter) = (self.app.http.batch_ingress.clone(), self.meter.cloned());
        let refused = chunk.refused;
        self.committing.push(chunk.arrivals, |submission| async move {
            if let Some(meter) = meter.filter(|_| units > 0) {
                meter.acquire_when_available(units).await;
            }
            let outcomes = submission.await?.into_iter().map(|outcome| prefixes.redact(outcome)).collect();
            ingress.count_refused(refused.count());
            results.add(refused.rejoin(outcomes));
            Ok(results)
        });
    }
}

/// Lines that wait to be submitted together.
struct Gathered {
    chunk: Chunk,
    bytes: usize,
    records_max: usize,
    /// Bytes of blank lines, line ends included, for which no unit was acquired yet.
    blank_bytes: usize,
    /// Units that were acquired beforehand.
    prepaid: usize,
    /// The records that the caller may write.
    prefixes: WritePrefixes,
}

/// What was gathered, to be submitted.
struct Ready {
    chunk: Chunk,
    /// Units that it has to acquire.
    units: usize,
    prefixes: WritePrefixes,
}

impl Gathered {
    fn new(ingress: &Ingress, meter: Option<&Meter>) -> Self {
        let at_once = meter.map_or(usize::MAX, Meter::records_at_once);
        let records_max = ingress.chunk_records_max().min(at_once).max(1);
        let prefixes = WritePrefixes::default();
        Self { chunk: Chunk::default(), bytes: 0, records_max, blank_bytes: 0, prepaid: 1, prefixes }
    }

    fn is_empty(&self) -> bool {
        self.chunk.len() == 0
    }

    fn is_full(&self) -> bool {
        self.chunk.len() >= self.records_max || self.bytes >= CHUNK_BYTES_MAX
    }

    fn take(&mut self) -> Ready {
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        let units = chunk.len() - std::mem::take(&mut self.prepaid);
        Ready { chunk, units, prefixes: self.prefixes.clone() }
    }

    fn push(&mut self, line: &Line<'_>, line_bytes_max: usize, traceparent: Option<&String>) {
        let record = match line {
            Line::Whole(line) if is_blank(line) => {
                self.blank_bytes += line.len() + 1;
                return;
            }
            Line::Whole(line) => {
                self.bytes += line.len();
                Record::from_json(line).and_then(|record| self.prefixes.admit(record))
            }
            Line::TooLong => Err(Rejection::too_large(line_bytes_max)),
        };
        self.chunk.push(record, traceparent.cloned());
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r'))
}

/// The request: reads lines.
struct Input {
    body: RequestBody,
    piece: Bytes,
    lines: Lines,
    line_bytes_max: usize,
    traceparent: Option<String>,
    long_lines: Arc<Semaphore>,
    /// The permit to buffer a long partial line.
    long_line: Option<OwnedSemaphorePermit>,
    ended: bool,
}

impl Input {
    /// Gathers lines from the piece that was read, until the chunk is full.
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

    /// Reads the next piece. Cancelling the call loses nothing.
    async fn read(&mut self) -> Result<(), Broken> {
        // The rest of the last piece is gathered first.
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

/// The response: writes results.
struct Output {
    body_writer: BodyWriter,
    failed_only: bool,
    /// The index of the next line that is not blank.
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
