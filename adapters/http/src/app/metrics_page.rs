//! The page at `/metrics`. The host writes it from the server's readings and its own.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::exchange::observe::request_meter::RequestReading;

/// Writes the page at `/metrics`.
#[async_trait]
pub trait MetricsPage: Debug + Send + Sync {
    /// Writes all metrics in Prometheus' text format 0.0.4. It SHOULD take no longer than a second or two, even during
    /// outages, and leave out values that are not available.
    async fn write(&self, server: ServerReadings) -> String;
}

/// The server's counters and gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReadings {
    /// The requests by route and method, without those that were never called.
    pub requests: Vec<RequestReading>,
    /// How many requests are in flight.
    pub in_flight: u64,
    /// How many connections are open.
    pub connections: usize,
    /// How many may be.
    pub connections_max: usize,
    /// How many event streams are open.
    pub event_streams: usize,
    /// How many may be.
    pub event_streams_max: usize,
    /// How many aggregates, exports and dry runs are in flight.
    pub aggregates: usize,
    /// How many may be.
    pub aggregates_max: usize,
    /// How many requests for totals hit the response cache, and how many missed it.
    pub cache: [u64; 2],
}
