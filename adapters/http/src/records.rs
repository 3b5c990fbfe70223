//! One record: written by `POST /v1/records`, read by `GET /v1/records/{recordId}` and in pages by `GET /v1/records`.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, LINK};
use tallyhouse_core::{Arrival, Outcome, Record, RecordId, RecordQuery, Rejection, RejectionCode};
use warp::reply::Response;

use crate::app::App;
use crate::body::RequestBody;
use crate::cursor::Cursor;
use crate::media::{self, Media};
use crate::parameters::Parameters;
use crate::problem::{Problem, ProblemCode};
use crate::result::{self, json_response};
use crate::traceparent;

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
        Err(Rejection { code: RejectionCode::NotJson, errors, .. }) => {
            let reasons: Vec<&str> = errors.iter().map(|error| error.detail.as_str()).collect();
            return Err(Problem::new(ProblemCode::NotJson, format!("The body {}.", reasons.join(", "))));
        }
        Err(rejection) => return Ok(Outcome::Rejected(rejection)),
    };
    let outcomes = app.http.door.submit_now(vec![Arrival { record, traceparent }]).await?;
    outcomes.into_iter().next().ok_or_else(Problem::internal)
}

/// `GET /v1/records/{recordId}`.
pub(crate) async fn read_one(app: &App, query: &str, id: &str) -> Result<Response, Problem> {
    Parameters::none(query)?;
    let missing = || Problem::new(ProblemCode::NotFound, "There is no record with this id.");
    // What can't be an id is the id of no record.
    let id = RecordId::new(id).map_err(|_| missing())?;
    let stored = app.http.repository.find(&id).await?.ok_or_else(missing)?;
    Ok(json_response(StatusCode::OK, serde_json::to_vec(&stored).expect("a record is always JSON")))
}

/// `GET /v1/records`.
pub(crate) async fn read_page(app: &App, query: &str) -> Result<Response, Problem> {
    let parameters = Parameters::read_with_filter(query, &["limit", "cursor"])?;
    let limit = parameters.limit()?;
    let after = parameters.parsed("cursor", Cursor::record)?;
    // One more than asked for shows whether there is a next page.
    let query = RecordQuery { filter: parameters.filter()?, after, limit: limit + 1 };
    let mut records = app.http.repository.records(query).await?;
    let more = records.len() > limit;
    records.truncate(limit);

    let mut json = b"{\"records\":".to_vec();
    serde_json::to_writer(&mut json, &records).expect("records are always JSON");
    json.push(b'}');
    let mut response = json_response(StatusCode::OK, json);
    if let Some(last) = records.last().filter(|_| more) {
        let record = &last.processed.record;
        let cursor = Cursor::Record(record.time, record.record_id.clone()).write();
        set_next(&mut response, &parameters, "/v1/records", &cursor);
    }
    Ok(response)
}

/// Points to the next page.
pub(crate) fn set_next(response: &mut Response, parameters: &Parameters, path: &str, cursor: &str) {
    let link = HeaderValue::try_from(parameters.link_to_next(path, cursor));
    response.headers_mut().insert(LINK, link.expect("an encoded address is fit for a header"));
}
