//! The recent rates: the number of records by outcome in each interval. The dashboard's chart begins with them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tallyhouse_pipeline::ports::Clock;
use tallyhouse_pipeline::{OutcomeCounts, Pipeline, Timestamp};

/// The length of an interval. Intervals begin at multiples of this length since 1970, so that the counts of several
/// instances can be added.
pub(crate) const INTERVAL_SECONDS: i64 = 2;

/// How many intervals are kept: five minutes.
pub(crate) const INTERVALS_MAX: usize = 150;

const INTERVAL_MICROS: i64 = INTERVAL_SECONDS * 1_000_000;

/// Counts a pipeline's records by interval and keeps the last five minutes, for `GET /v1/rates`.
pub struct RateHistory {
    pipeline: Pipeline,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    window: Mutex<Window>,
}

/// The counts of the last intervals.
#[derive(Debug, Clone)]
struct Window {
    /// The number of the current interval, counted from 1970.
    current: i64,
    /// The totals at the beginning of the current interval.
    totals: OutcomeCounts,
    /// Oldest first.
    counts: VecDeque<OutcomeCounts>,
}

/// A reading of the history.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RateReading {
    pub(crate) started_at: Timestamp,
    /// The end of the last interval.
    pub(crate) end: Timestamp,
    /// All records since the start.
    pub(crate) totals: OutcomeCounts,
    /// Oldest first.
    pub(crate) counts: Vec<OutcomeCounts>,
}

impl RateHistory {
    /// Begins the history of a pipeline. The server samples it while it serves.
    #[must_use]
    pub fn new(pipeline: Pipeline, clock: Arc<dyn Clock>) -> Self {
        let (started_at, totals) = (clock.now(), totals(&pipeline));
        let window = Window { current: interval_of(started_at), totals, counts: VecDeque::new() };
        Self { pipeline, clock, started_at, window: Mutex::new(window) }
    }

    /// Samples at the end of each interval, for ever.
    pub(crate) async fn follow(&self) {
        loop {
            let left = INTERVAL_MICROS - self.clock.now().as_micros().rem_euclid(INTERVAL_MICROS);
            self.clock.sleep(Duration::from_micros(left.unsigned_abs())).await;
            self.window().advance(interval_of(self.clock.now()), totals(&self.pipeline));
        }
    }

    pub(crate) fn read(&self) -> RateReading {
        let window = self.window().clone();
        let end = Timestamp::from_micros(window.current.saturating_mul(INTERVAL_MICROS));
        RateReading {
            started_at: self.started_at,
            end: end.unwrap_or(Timestamp::MAX),
            totals: totals(&self.pipeline),
            counts: window.counts.into(),
        }
    }

    fn window(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RateHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateHistory").field("started_at", &self.started_at).finish_non_exhaustive()
    }
}

impl Window {
    /// Ends the intervals before `current`. Several end at once after the process was suspended; they share the records
    /// since the last sample evenly.
    fn advance(&mut self, current: i64, totals: OutcomeCounts) {
        let ended = current.abs_diff(self.current);
        if current < self.current || ended > INTERVALS_MAX as u64 {
            // The clock was set back, or every kept interval is too old.
            *self = Self { current, totals, counts: VecDeque::new() };
            return;
        }
        for left in (1..=ended).rev() {
            let share = combine(&totals, &self.totals, |now, before| now.saturating_sub(before) / left);
            self.totals = combine(&self.totals, &share, u64::saturating_add);
            self.counts.push_back(share);
        }
        self.counts.drain(..self.counts.len().saturating_sub(INTERVALS_MAX));
        self.current = current;
    }
}

fn interval_of(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(INTERVAL_MICROS)
}

/// Adds up the counts of all ingresses.
fn totals(pipeline: &Pipeline) -> OutcomeCounts {
    let none = OutcomeCounts::default();
    pipeline
        .readings()
        .ingresses
        .iter()
        .fold(none, |sum, ingress| combine(&sum, &ingress.outcomes, u64::saturating_add))
}

fn combine(a: &OutcomeCounts, b: &OutcomeCounts, op: impl Fn(u64, u64) -> u64) -> OutcomeCounts {
    OutcomeCounts {
        processed: op(a.processed, b.processed),
        duplicates: op(a.duplicates, b.duplicates),
        conflicts: op(a.conflicts, b.conflicts),
        rejected: op(a.rejected, b.rejected),
    }
}

#[cfg(test)]
mod tests;
