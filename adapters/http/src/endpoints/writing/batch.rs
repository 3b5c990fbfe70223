//! `POST /v1/records/batch` with a JSON array: every record is committed, or fails with the batch, before the response
//! begins. After a failure the client can repeat the batch safely. Large results are streamed.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::json;
use tallyhouse_pipeline::ports::{PortError, RecordReader};
use tallyhouse_pipeline::{ArrayError, OrderedChunks, records_from_json_array};
use warp::reply::Response;

use crate::access::rate_limit::Meter;
use crate::app::state::App;
use crate::endpoints::writing::chunk::Chunk;
use crate::endpoints::writing::cloud_event::{self, EventRecord};
use crate::endpoints::writing::pending_results::{SentResults, WaitingResults};
use crate::endpoints::writing::result::WriteResult;
use crate::exchange::context::RequestContext;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::request::traceparent;
use crate::exchange::response::json::json_response;
use crate::exchange::response::problem::{Problem, ProblemCode};
use crate::exchange::response::stream::{self, PIECE_BYTES, ReportsWrites};
use crate::keys::key_ring::write_prefixes;

/// Bodies from this size on are parsed on a blocking thread: parsing takes a millisecond or more, and would delay other
/// connections.
const PARSE_BESIDE_BYTES: usize = 256 * 1024;

/// Results of up to this weight are sent unstreamed, with `Content-Length`.
const UNSTREAMED_BYTES_MAX: usize = 256 * 1024;

/// The kind of the array's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elements {
    Records,
    /// CloudEvents, whose data are the records.
    Events,
}

type Parsed = Result<Vec<EventRecord>, ArrayError>;

/// Reads whether only the results of refused records are wanted.
pub(crate) fn failed_only(query: &str) -> Result<bool, Problem> {
    let parameters = Parameters::read(query, &["results"])?;
    Ok(parameters.one_of("results", &[("failed", true)])?.unwrap_or(false))
}

/// Answers a batch in JSON.
pub(crate) async fn write(
    app: &App,
    elements: Elements,
    failed_only: bool,
    headers: &HeaderMap,
    body: &mut RequestBody,
    context: &RequestContext,
    meter: Option<&Meter>,
) -> Result<Response, Problem> {
    let results = process(app, elements, failed_only, headers, body, context, meter).await?;
    let is_small = results.are_small(UNSTREAMED_BYTES_MAX);
    let mut body = Body::new(results, app.reader(&context.caller));
    if is_small {
        let mut json = Vec::new();
        while let Some(mut piece) = body.next().await? {
            json.append(&mut piece);
        }
        return Ok(json_response(StatusCode::OK, json));
    }
    let stall_timeout = app.settings.stall_timeout;
    let mut response = stream::answer("application/json", stall_timeout, context, move |mut body_writer| async move {
        while let Some(piece) = body.next().await? {
            body_writer.send(piece).await?;
        }
        Ok(body_writer)
    });
    response.extensions_mut().insert(ReportsWrites);
    Ok(response)
}

/// Processes a batch until all of its records have outcomes.
async fn process(
    app: &App,
    elements: Elements,
    failed_only: bool,
    headers: &HeaderMap,
    body: &mut RequestBody,
    context: &RequestContext,
    meter: Option<&Meter>,
) -> Result<WaitingResults, Problem> {
    let mut reservation = app.batch_budget.empty_reservation(&context.caller);
    let json = body.read_whole_into(&mut reservation).await?;
    let records = parse(json, elements, app.settings.batch_records_max).await?.map_err(|error| refuse(app, error))?;
    meter.map_or(Ok(()), |meter| meter.acquire_rest(records.len()))?;
    let prefixes = write_prefixes(context.grant.as_ref()).ok_or_else(Problem::unauthorized)?;

    let traceparent = traceparent::of(headers);
    let mut results = WaitingResults::new(&app.result_budget, &context.caller, failed_only);
    let chunk_records_max = app.http.batch_ingress.chunk_records_max().max(1);
    let mut records = records.into_iter().peekable();
    let mut committing = OrderedChunks::new(&app.http.batch_ingress);
    loop {
        while committing.has_capacity() && records.peek().is_some() {
            let mut chunk = Chunk::default();
            records.by_ref().take(chunk_records_max).for_each(|mut element| {
                let traceparent = element.traceparent.take().or_else(|| traceparent.clone());
                chunk.push(element.bound(&prefixes), traceparent);
            });
            let refused = chunk.refused;
            committing.push(chunk.arrivals, |submission| async move { (submission.await, refused) });
        }
        let Some((outcomes, refused)) = committing.next().await else { break };
        let outcomes = outcomes?.into_iter().map(|outcome| prefixes.redact(outcome)).collect();
        app.http.batch_ingress.count_refused(refused.count());
        results.add(refused.rejoin(outcomes));
    }
    Ok(results)
}

async fn parse(json: Bytes, elements: Elements, records_max: usize) -> Result<Parsed, Problem> {
    let bytes = json.len();
    let parse = move || match elements {
        Elements::Events => cloud_event::read_array(&json, records_max),
        Elements::Records => records_from_json_array(&json, records_max)
            .map(|records| records.into_iter().map(EventRecord::plain).collect()),
    };
    if bytes < PARSE_BESIDE_BYTES {
        return Ok(parse());
    }
    // The task fails only by a panic, or when the runtime shuts down.
    tokio::task::spawn_blocking(parse).await.map_err(|_| Problem::internal())
}

fn refuse(app: &App, error: ArrayError) -> Problem {
    match error {
        ArrayError::NotJson(rejection) => {
            Problem::new(ProblemCode::NotJson, format!("The body can't be read: {}.", rejection.detail()))
        }
        ArrayError::NotAnArray => Problem::new(ProblemCode::Rejected, "The body must be an array of records.")
            .with("errors", json!([{ "pointer": "", "detail": "must be an array of records" }])),
        ArrayError::TooMany => Problem::new(
            ProblemCode::TooLarge,
            format!("The array must have at most {} records.", app.settings.batch_records_max),
        ),
    }
}

/// The body of a response, made piece by piece: the counts, then the results.
struct Body {
    results: SentResults,
    piece: Vec<u8>,
    ended: bool,
}

impl Body {
    fn new(results: WaitingResults, reader: Arc<dyn RecordReader>) -> Self {
        let mut piece = serde_json::to_vec(&results.counts()).expect("counts are always JSON");
        // The closing brace is removed, because one more member follows.
        piece.pop();
        piece.extend_from_slice(b",\"results\":[");
        Self { results: results.send(reader), piece, ended: false }
    }

    /// Returns the next piece; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        while self.piece.len() < PIECE_BYTES
            && let Some((index, outcome)) = self.results.next().await?
        {
            // Only the head of the answer ends so: a result ends with a brace.
            if !self.piece.ends_with(b"[") {
                self.piece.push(b',');
            }
            let result = WriteResult { index: Some(index), outcome: &outcome };
            serde_json::to_writer(&mut self.piece, &result).expect("a result is always JSON");
        }
        if self.results.are_sent() && !std::mem::replace(&mut self.ended, true) {
            self.piece.extend_from_slice(b"]}");
        }
        let piece = std::mem::take(&mut self.piece);
        Ok((!piece.is_empty()).then_some(piece))
    }
}
