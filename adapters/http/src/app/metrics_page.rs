//! The page at `/metrics`: the host writes it, out of the server's readings and its own.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::exchange::observe::request_meter::RequestReading;

/// Writes the page at `/metrics`.
#[async_trait]
pub trait MetricsPage: Debug + Send + Sync {
    /// Writes all that is counted, in Prometheus' text format 0.0.4. It SHOULD take no longer than a second or two,
    /// even during outages, and leave out the values that it can't learn.
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
