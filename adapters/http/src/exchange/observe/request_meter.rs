//! Request metrics: plain atomics in a table, so that a request costs a few additions and no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::{Method, StatusCode};
use tallyhouse_pipeline::{Histogram, HistogramReading};
use tokio::time::Instant;

/// The methods that are counted by name. All others count as the last one: callers can invent methods, and must not be
/// able to fill memory.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];

/// The route name of requests that match no route.
const NO_ROUTE: &str = "none";

/// The index of a request's route in the table; an extension of its response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteIndex(pub(crate) usize);

/// The requests of one route and method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestReading {
    /// The route, with the names of its parts: `/v1/records/{recordId}`; `none` for paths without a route.
    pub route: &'static str,
    /// The method; `other` for methods that no route has.
    pub method: &'static str,
    /// The number of responses by status, without zero counts. Unknown statuses are counted under 0.
    pub statuses: Vec<(u16, u64)>,
    /// The time from the head of the request to the head of the response, in microseconds.
    pub micros: HistogramReading,
}

/// The counts.
#[derive(Debug)]
pub(crate) struct RequestMeter {
    in_flight: AtomicU64,
    /// The names of the routes; the last is [`NO_ROUTE`].
    routes: Vec<&'static str>,
    /// The statuses that are counted by code; others are counted under 0.
    statuses: Vec<StatusCode>,
    /// By route, then by method.
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    /// By status; the last one counts all other statuses.
    statuses: Vec<AtomicU64>,
    times: Histogram,
}

/// A counted request. It is in flight until this value is dropped.
#[derive(Debug)]
pub(crate) struct Request {
    meter: Arc<RequestMeter>,
    method: usize,
    began: Instant,
}

impl RequestMeter {
    /// Makes a meter for these routes and statuses. A status that is not among them is counted under 0.
    pub(crate) fn new(routes: impl Iterator<Item = &'static str>, statuses: Vec<StatusCode>) -> Self {
        let routes: Vec<&'static str> = routes.chain([NO_ROUTE]).collect();
        let counters = || (0..=statuses.len()).map(|_| AtomicU64::new(0)).collect();
        let cell = |_| Cell { statuses: counters(), times: Histogram::of_times() };
        let cells = (0..routes.len() * METHODS.len()).map(cell).collect();
        Self { in_flight: AtomicU64::new(0), routes, statuses, cells }
    }

    /// Counts a request as in flight.
    pub(crate) fn begin(self: &Arc<Self>, method: &Method) -> Request {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        Request { meter: Arc::clone(self), method, began: Instant::now() }
    }

    /// Returns the number of requests in flight: the connection has not taken their whole response yet.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the counts by route and method, without empty ones.
    pub(crate) fn read(&self) -> Vec<RequestReading> {
        let named = self.routes.iter().flat_map(|route| METHODS.iter().map(move |method| (*route, *method)));
        named
            .zip(&self.cells)
            .map(|((route, method), cell)| {
                let codes = self.statuses.iter().map(StatusCode::as_u16).chain([0]);
                let statuses = codes.zip(&cell.statuses).map(|(code, count)| (code, count.load(Ordering::Relaxed)));
                let statuses = statuses.filter(|(_, count)| *count > 0).collect();
                RequestReading { route, method, statuses, micros: cell.times.read() }
            })
            .filter(|reading| !reading.statuses.is_empty())
            .collect()
    }
}

impl Request {
    /// Counts the response, whose head is known now.
    pub(crate) fn answered(&self, route: Option<RouteIndex>, status: StatusCode) {
        let meter = &self.meter;
        let route = route.map_or(meter.routes.len() - 1, |RouteIndex(index)| index);
        let cell = &meter.cells[route * METHODS.len() + self.method];
        let status = meter.statuses.binary_search(&status).unwrap_or(meter.statuses.len());
        cell.times.observe_time(self.began.elapsed(), 1);
        cell.statuses[status].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.meter.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
