//! `POST /v1/records`: processes one record.

use hyper::header::HeaderMap;
use tallyhouse_pipeline::{Arrival, Outcome, Record, Rejection, RejectionCode, without_byte_order_mark};
use warp::reply::Response;

use crate::app::state::App;
use crate::endpoints::writing::cloud_event::{self, EventRecord};
use crate::endpoints::writing::result;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::media::{self, Media};
use crate::exchange::request::parameters::Parameters;
use crate::exchange::request::traceparent;
use crate::exchange::response::problem::Problem;

/// `POST /v1/records`. A body without a media type is taken for JSON.
pub(crate) async fn write(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response, Problem> {
    Parameters::none(query)?;
    let media = media::of_body(headers)?;
    let json = match media {
        None | Some(Media::Json | Media::CloudEvent) => body.read_whole().await?,
        Some(Media::Ndjson | Media::CloudEvents) => {
            return Err(media::unsupported(
                "One record is sent as application/json or application/cloudevents+json; /v1/records/batch takes many.",
            ));
        }
    };
    let EventRecord { record, traceparent } = match media {
        Some(Media::CloudEvent) => cloud_event::read(&json),
        _ if cloud_event::is_binary(headers) => cloud_event::read_binary(headers, &json),
        _ => EventRecord { record: Record::from_json(&json), traceparent: None },
    };
    let outcome = submit(app, record, traceparent.or_else(|| traceparent::of(headers))).await?;
    Ok(result::answer(&outcome))
}

/// Processes the JSON of one record.
pub(crate) async fn process(app: &App, json: &[u8], traceparent: Option<String>) -> Result<Outcome, Problem> {
    submit(app, Record::from_json(without_byte_order_mark(json)), traceparent).await
}

async fn submit(app: &App, record: Result<Record, Rejection>, traceparent: Option<String>) -> Result<Outcome, Problem> {
    let record = match record {
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
