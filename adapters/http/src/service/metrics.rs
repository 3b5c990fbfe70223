//! `GET /metrics`: what the service counts, in Prometheus' text format.
//!
//! The server counts its requests, and knows nothing of the rest: whoever wires the service writes the page.

use std::fmt::Debug;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use warp::reply::{Reply, Response};

use crate::answer::problem::Problem;
use crate::app::state::App;
use crate::observe::request_meter::RequestReading;
use crate::request::parameters::Parameters;

/// The media type of the text format that every version of Prometheus reads.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes the page at `/metrics`.
#[async_trait]
pub trait MetricsPage: Debug + Send + Sync {
    /// Writes all that is counted, in Prometheus' text format 0.0.4. It SHOULD take no longer than a second or two,
    /// whatever is away, and leave out what it can't learn.
    async fn write(&self, server: ServerReadings) -> String;
}

/// What the server has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReadings {
    /// By route and method, those that were called.
    pub requests: Vec<RequestReading>,
    /// How many requests are under way.
    pub under_way: u64,
    /// How many connections are open.
    pub connections: usize,
    /// How many may be.
    pub connections_max: usize,
    /// How many event streams are followed.
    pub event_streams: usize,
    /// How many may be.
    pub event_streams_max: usize,
    /// How many aggregates, exports and dry runs are under way.
    pub aggregates: usize,
    /// How many may be.
    pub aggregates_max: usize,
    /// How many questions for totals were answered with what was kept in memory, and how many were not.
    pub cache: [u64; 2],
}

/// ResponseCache with the page.
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
        under_way: app.requests.under_way(),
        connections: app.open.len(),
        connections_max: app.settings.connections_max,
        event_streams: app.event_streams.taken(),
        event_streams_max: app.settings.event_streams_max,
        aggregates: app.aggregates.taken(),
        aggregates_max: app.settings.aggregates_max,
        cache: app.answers.counts(),
    }
}
