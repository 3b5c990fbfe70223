//! `POST /v1/records`: processes one record.

use hyper::header::HeaderMap;
use tallyhouse_pipeline::{Arrival, Outcome, Record, RejectionCode};
use warp::reply::Response;

use crate::answer::problem::Problem;
use crate::app::state::App;
use crate::request::body::RequestBody;
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
    let json = body.read_whole().await?;
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
