//! One record: written by `POST /v1/records`, read by `GET /v1/records/{recordId}` and in pages by `GET /v1/records`.

use hyper::StatusCode;
use hyper::header::{HeaderMap, LINK};
use tallyhouse_pipeline::{
    Arrival, Outcome, RECORD_COLUMNS, Record, RecordId, RecordQuery, RejectionCode, StoredRecord, write_record_row,
    write_row,
};
use warp::reply::Response;

use crate::answer::conditional;
use crate::answer::format::Format;
use crate::answer::problem::{Problem, ProblemCode};
use crate::app::state::App;
use crate::request::body::RequestBody;
use crate::request::cursor::Cursor;
use crate::request::media::{self, Media};
use crate::request::parameters::Parameters;
use crate::request::traceparent;
use crate::writing::result;

/// `POST /v1/records`. A body of which nothing is said is taken for JSON.
pub(crate) async fn write(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response, Problem> {
    Parameters::none(query)?;
    if media::of_body(headers)? == Some(Media::Ndjson) {
        return Err(media::unsupported("One record is sent as application/json; /v1/records/batch takes NDJSON."));
    }
    let json = body.read_whole(app.settings.record_bytes_max, &app.settings).await?;
    let outcome = process(app, &json, traceparent::of(headers)).await?;
    Ok(result::answer(&outcome))
}

/// Processes the JSON of one record.
pub(crate) async fn process(app: &App, json: &[u8], traceparent: Option<String>) -> Result<Outcome, Problem> {
    let record = match Record::from_json(json) {
        Ok(record) => record,
        Err(rejection) => {
            app.http.ingress.count_refused(1);
            let is_json = rejection.code != RejectionCode::NotJson;
            return if is_json { Ok(Outcome::Rejected(rejection)) } else { Err(result::refused(&rejection)) };
        }
    };
    let outcomes = app.http.ingress.submit_now(vec![Arrival { record, traceparent }]).await?;
    outcomes.into_iter().next().ok_or_else(Problem::internal)
}

/// `GET /v1/records/{recordId}`.
pub(crate) async fn read_one(app: &App, query: &str, headers: &HeaderMap, id: &str) -> Result<Response, Problem> {
    Parameters::none(query)?;
    let missing = || Problem::new(ProblemCode::NotFound, "There is no record with this id.");
    // What can't be an id is the id of no record.
    let id = RecordId::new(id).map_err(|_| missing())?;
    let stored = app.http.reader.find(&id).await?.ok_or_else(missing)?;
    Ok(conditional::json(headers, serde_json::to_vec(&stored).expect("a record is always JSON")))
}

/// `GET /v1/records`.
pub(crate) async fn read_page(app: &App, query: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::read_with_filter(query, &["limit", "cursor"])?;
    let limit = parameters.limit()?;
    let after = parameters.parsed("cursor", Cursor::record)?;
    // One more than asked for shows whether there is a next page.
    let query = RecordQuery { filter: parameters.filter()?, after, limit: limit + 1 };
    let mut records = app.http.reader.records(query).await?;
    let more = records.len() > limit;
    records.truncate(limit);

    let form = Format::accepted(headers, Format::Json);
    let mut response = conditional::formed(headers, form, write_page(form, &records));
    if let Some(last) = records.last().filter(|_| more) {
        let record = &last.processed.record;
        let cursor = Cursor::Record(record.time, record.record_id.clone()).write();
        set_next(&mut response, &parameters, "/v1/records", &cursor);
    }
    Ok(response)
}

fn write_page(form: Format, records: &[StoredRecord]) -> Vec<u8> {
    let mut page = Vec::new();
    match form {
        Format::Json => {
            page.extend_from_slice(b"{\"records\":");
            serde_json::to_writer(&mut page, records).expect("records are always JSON");
            page.push(b'}');
        }
        Format::Ndjson => records.iter().for_each(|record| {
            serde_json::to_writer(&mut page, record).expect("a record is always JSON");
            page.push(b'\n');
        }),
        Format::Csv => {
            write_row(&mut page, RECORD_COLUMNS);
            records.iter().for_each(|record| write_record_row(&mut page, &record.processed));
        }
    }
    page
}

/// Points to the next page, unless the client has this one, and with it the way to the next.
pub(crate) fn set_next(response: &mut Response, parameters: &Parameters, path: &str, cursor: &str) {
    if response.status() == StatusCode::NOT_MODIFIED {
        return;
    }
    response.headers_mut().insert(LINK, parameters.next_link(path, cursor));
}
