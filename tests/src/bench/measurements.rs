//! Status counts and latency histograms of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(600);

/// The quantiles that are shown, by their names.
pub const PARTS: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Times, in microseconds, to three digits.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).expect("minutes");
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are right"))
    }
}

impl Times {
    /// Adds one. Longer ones than ten minutes count as ten minutes.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Adds those of another one.
    ///
    /// # Panics
    /// Never: all have the same bounds.
    pub fn join(&mut self, other: &Self) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the time that this part of them does not exceed: 0.99 for the 99th percentile; zero if there are none.
    #[must_use]
    pub fn part(&self, part: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(part))
    }
}

/// What senders saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// From the first request to the last answer.
    pub took: Duration,
    /// How often each status was answered.
    pub answers: BTreeMap<u16, u64>,
    /// Bytes of all bodies that were answered.
    pub body_bytes: u64,
    /// Requests that got no answer.
    pub broken: u64,
    /// Refusals without `Retry-After`.
    pub without_retry_after: u64,
    /// How long after they were due the successes were answered.
    pub accepted: Times,
    /// How long after they were sent the successes were answered: without what they waited for a free sender.
    pub served: Times,
    /// How long after they were sent the others were answered.
    pub refused: Times,
}

impl Seen {
    /// Adds what another sender saw; the longer time counts.
    pub fn join(&mut self, other: &Self) {
        self.took = self.took.max(other.took);
        for (status, times) in &other.answers {
            *self.answers.entry(*status).or_default() += times;
        }
        self.body_bytes += other.body_bytes;
        self.broken += other.broken;
        self.without_retry_after += other.without_retry_after;
        self.accepted.join(&other.accepted);
        self.served.join(&other.served);
        self.refused.join(&other.refused);
    }

    /// Returns how many requests were answered with a success.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.answers.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, times)| times).sum()
    }

    /// Returns how many requests were answered with anything else, or not at all.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.answers.values().sum::<u64>() + self.broken - self.successes()
    }
}
