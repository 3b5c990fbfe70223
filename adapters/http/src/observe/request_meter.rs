//! What the server counts of its requests: plain atomics, found by place, so that a request costs a few additions and
//! no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::{Method, StatusCode};
use tallyhouse_pipeline::{Histogram, HistogramReading};
use tokio::time::Instant;

use crate::dispatch::TEMPLATES;

/// The methods that are told apart; others are the last one. A caller can send any, and must not be able to fill
/// memory.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];

/// The statuses that the service answers with. Another one would be counted as the last, which is none.
const STATUSES: [u16; 19] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 500, 503, 0];

/// Under which name a route is counted; an extension of its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted(pub(crate) usize);

/// The requests of one route and method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestReading {
    /// The route, with the names of its parts: `/v1/records/{recordId}`; `none` for paths without a route.
    pub route: &'static str,
    /// The method; `other` for those that no route has.
    pub method: &'static str,
    /// How many answers there were, by status. Only those that there were; 0 for a status that is not known here.
    pub statuses: Vec<(u16, u64)>,
    /// How long it took from the head of the request to the head of the answer, in microseconds.
    pub micros: HistogramReading,
}

/// The counts.
#[derive(Debug)]
pub(crate) struct RequestMeter {
    under_way: AtomicU64,
    /// By route, then by method.
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    statuses: [AtomicU64; STATUSES.len()],
    times: Histogram,
}

/// A request that is counted; it is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Request {
    meter: Arc<RequestMeter>,
    method: usize,
    began: Instant,
}

impl RequestMeter {
    pub(crate) fn new() -> Self {
        let cell = |_| Cell { statuses: Default::default(), times: Histogram::of_times() };
        let cells = (0..TEMPLATES.len() * METHODS.len()).map(cell).collect();
        Self { under_way: AtomicU64::new(0), cells }
    }

    /// Counts a request as under way.
    pub(crate) fn begin(self: &Arc<Self>, method: &Method) -> Request {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        Request { meter: Arc::clone(self), method, began: Instant::now() }
    }

    /// Returns how many requests are under way: their answers are not wholly handed to the connection.
    pub(crate) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Returns what was counted by route and method, where there was anything.
    pub(crate) fn read(&self) -> Vec<RequestReading> {
        let named = TEMPLATES.iter().flat_map(|route| METHODS.iter().map(move |method| (*route, *method)));
        named
            .zip(&self.cells)
            .map(|((route, method), cell)| {
                let statuses = STATUSES.iter().zip(&cell.statuses);
                let statuses = statuses.map(|(status, count)| (*status, count.load(Ordering::Relaxed)));
                let statuses = statuses.filter(|(_, count)| *count > 0).collect();
                RequestReading { route, method, statuses, micros: cell.times.read() }
            })
            .filter(|reading| !reading.statuses.is_empty())
            .collect()
    }
}

impl Request {
    /// Counts the answer, whose head is known now. One without a route is counted as such.
    pub(crate) fn answered(&self, route: Option<Counted>, status: StatusCode) {
        let route = route.map_or(TEMPLATES.len() - 1, |Counted(place)| place);
        let cell = &self.meter.cells[route * METHODS.len() + self.method];
        let status = STATUSES.iter().position(|known| *known == status.as_u16()).unwrap_or(STATUSES.len() - 1);
        cell.times.observe_time(self.began.elapsed(), 1);
        cell.statuses[status].fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.meter.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
