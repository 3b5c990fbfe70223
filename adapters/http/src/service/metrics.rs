//! `GET /metrics`: the metrics in Prometheus' text format.
//!
//! The server knows its own metrics only, so the host writes the page.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::{Reply, Response};

use crate::app::metrics_page::ServerReadings;
use crate::app::state::App;
use crate::exchange::request::parameters::Parameters;
use crate::exchange::response::problem::Problem;

/// The media type of the text format, which every version of Prometheus reads.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with the page.
pub(crate) async fn read(app: &App, query: &str) -> Result<Response, Problem> {
    let page = app.metrics.as_ref().ok_or_else(Problem::not_found)?;
    Parameters::none(query)?;
    let mut response = page.write(readings(app)).await.into_response();
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
    Ok(response)
}

fn readings(app: &App) -> ServerReadings {
    ServerReadings {
        requests: app.requests.read(),
        in_flight: app.requests.in_flight(),
        connections: app.open.len(),
        connections_max: app.settings.connections_max,
        event_streams: app.event_streams.in_use(),
        event_streams_max: app.settings.event_streams_max,
        aggregates: app.aggregates.in_use(),
        aggregates_max: app.settings.aggregates_max,
        cache: app.response_cache.counts(),
    }
}
