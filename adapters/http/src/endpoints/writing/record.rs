//! `POST /v1/records`: processes one record.

use hyper::header::HeaderMap;
use tallyhouse_pipeline::{Arrival, Outcome, Record, RejectionCode, without_byte_order_mark};
use warp::reply::Response;

use crate::app::state::App;
use crate::endpoints::writing::cloud_event::{self, EventRecord};
use crate::endpoints::writing::result;
use crate::exchange::request::body::RequestBody;
use crate::exchange::request::media::{self, Media};
use crate::exchange::request::parameters::Parameters;
use crate::exchange::request::traceparent;
use crate::exchange::response::problem::Problem;
use crate::keys::key_ring::{Grant, write_prefixes};

/// `POST /v1/records`. A body without a media type is taken for JSON.
pub(crate) async fn write(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    body: &mut RequestBody,
    grant: Option<&Grant>,
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
    let sent = match media {
        Some(Media::CloudEvent) => cloud_event::read(&json),
        _ if cloud_event::is_binary(headers) => cloud_event::read_binary(headers, &json),
        _ => EventRecord::plain(Record::from_json(&json)),
    };
    let outcome = submit(app, sent, traceparent::of(headers), grant).await?;
    Ok(result::answer(&outcome))
}

/// Processes the JSON of one record.
pub(crate) async fn process(
    app: &App,
    json: &[u8],
    traceparent: Option<String>,
    grant: Option<&Grant>,
) -> Result<Outcome, Problem> {
    let sent = EventRecord::plain(Record::from_json(without_byte_order_mark(json)));
    submit(app, sent, traceparent, grant).await
}

/// Processes a record, with the trace context of its event or else of its request.
async fn submit(
    app: &App,
    sent: EventRecord,
    traceparent: Option<String>,
    grant: Option<&Grant>,
) -> Result<Outcome, Problem> {
    let EventRecord { record, traceparent: of_event, pointer_prefix } = sent;
    let record = match record {
        Ok(record) => record,
        Err(rejection) => {
            app.http.ingress.count_refused(1);
            let is_json = rejection.code != RejectionCode::NotJson;
            return if is_json { Ok(Outcome::Rejected(rejection)) } else { Err(result::refused(&rejection)) };
        }
    };
    let prefixes = write_prefixes(grant).ok_or_else(Problem::unauthorized)?;
    let record = prefixes.admit(record).map_err(|rejection| {
        app.http.ingress.count_refused(1);
        result::forbidden(&cloud_event::with_pointer_prefix(pointer_prefix, rejection))
    })?;
    let arrival = Arrival { record, traceparent: of_event.or(traceparent) };
    let outcomes = app.http.ingress.submit_now(vec![arrival]).await?;
    outcomes.into_iter().next().map(|outcome| prefixes.redact(outcome)).ok_or_else(Problem::internal)
}
