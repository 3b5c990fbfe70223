//! `POST /v1/records/batch` with a JSON array: all results at once. After a failure the client repeats the batch safely.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::json;
use tallyhouse_pipeline::{ArrayError, OrderedChunks, Outcome, OutcomeCounts, records_from_json_array};
use warp::reply::Response;

use crate::access::rate_limit::Meter;
use crate::app::state::App;
use crate::context::RequestContext;
use crate::request::body::RequestBody;
use crate::request::parameters::Parameters;
use crate::request::traceparent;
use crate::response::json::json_response;
use crate::response::problem::{Problem, ProblemCode};
use crate::writing::chunk::Chunk;
use crate::writing::cloud_event::{self, EventRecord};
use crate::writing::result::WriteResult;

/// Bodies from this size on are parsed beside the threads that serve connections: it takes a millisecond or more.
const PARSE_BESIDE_BYTES: usize = 256 * 1024;

/// What the elements of the array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elements {
    Records,
    /// CloudEvents, whose data are the records.
    Events,
}

type Parsed = Result<Vec<EventRecord>, ArrayError>;

/// Reads whether the results of the good records are wanted.
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
    let mut room = app.batch_room.part(&context.caller);
    let json = body.read_whole_into(&mut room).await?;
    let records = parse(json, elements, app.settings.batch_records_max).await?.map_err(|error| refuse(app, error))?;
    meter.map_or(Ok(()), |meter| meter.acquire_rest(records.len()))?;

    let traceparent = traceparent::of(headers);
    let mut counts = OutcomeCounts::default();
    let mut results = Vec::new();
    let mut index = 0;
    let chunk_records_max = app.http.ingress.chunk_records_max().max(1);
    let mut records = records.into_iter().peekable();
    let mut committing = OrderedChunks::new(&app.http.ingress);
    loop {
        while committing.has_room() && records.peek().is_some() {
            let mut chunk = Chunk::default();
            records.by_ref().take(chunk_records_max).for_each(|element| {
                chunk.push(element.record, element.traceparent.as_ref().or(traceparent.as_ref()));
            });
            let refused = chunk.refused;
            committing.push(chunk.arrivals, |submission| async move { (submission.await, refused) });
        }
        let Some((outcomes, refused)) = committing.next().await else { break };
        let outcomes = outcomes?;
        app.http.ingress.count_refused(refused.count());
        write_results(&refused.rejoin(outcomes), &mut index, failed_only, &mut counts, &mut results);
    }
    Ok(json_response(StatusCode::OK, whole(&counts, &results)))
}

async fn parse(json: Bytes, elements: Elements, records_max: usize) -> Result<Parsed, Problem> {
    let bytes = json.len();
    let parse = move || match elements {
        Elements::Events => cloud_event::read_array(&json, records_max),
        Elements::Records => {
            let plain = |record| EventRecord { record, traceparent: None };
            records_from_json_array(&json, records_max).map(|records| records.into_iter().map(plain).collect())
        }
    };
    if bytes < PARSE_BESIDE_BYTES {
        return Ok(parse());
    }
    // It fails by a panic, or when the runtime shuts down.
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

fn whole(counts: &OutcomeCounts, results: &[u8]) -> Vec<u8> {
    let mut json = serde_json::to_vec(counts).expect("counts are always JSON");
    // The closing brace gives way to one more member.
    json.pop();
    json.extend_from_slice(b",\"results\":[");
    json.extend_from_slice(results.strip_suffix(b",").unwrap_or(results));
    json.extend_from_slice(b"]}");
    json
}

fn write_results(
    outcomes: &[Outcome],
    index: &mut u64,
    failed_only: bool,
    counts: &mut OutcomeCounts,
    results: &mut Vec<u8>,
) {
    for outcome in outcomes {
        counts.count(outcome);
        if !failed_only || is_failed(outcome) {
            let result = WriteResult { index: Some(*index), outcome };
            serde_json::to_writer(&mut *results, &result).expect("a result is always JSON");
            results.push(b',');
        }
        *index += 1;
    }
}

/// Says whether a record was refused.
pub(crate) fn is_failed(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Processed(_) | Outcome::Duplicate { .. } => false,
        Outcome::Conflict { .. } | Outcome::Rejected(_) => true,
    }
}
