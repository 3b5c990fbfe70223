//! A histogram of whole numbers with fixed bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of times, in microseconds: from a commit to a fast disk up to one that timed out.
const TIMES: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 60_000_000,
];
/// Upper bounds of numbers of records.
const RECORDS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// Counts values by size, without a lock.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// The number of values in each bucket. The last bucket has no upper bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The counts of a histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramReading {
    /// Each upper bound with the number of values up to it.
    pub buckets: Vec<(u64, u64)>,
    /// The number of values.
    pub count: u64,
    /// The sum of the values.
    pub sum: u64,
}

impl Histogram {
    /// Makes a histogram of times, in microseconds: from a quarter of a millisecond to a minute.
    #[must_use]
    pub fn of_times() -> Self {
        Self::new(&TIMES)
    }

    /// Makes a histogram of numbers of records.
    #[must_use]
    pub fn of_records() -> Self {
        Self::new(&RECORDS)
    }

    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value `times` times.
    pub fn observe(&self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        // The sum wraps around after half a year of a million records a second that wait ten seconds each. Readers of
        // counters handle a reset.
        self.sum.fetch_add(value.wrapping_mul(times), Ordering::Relaxed);
    }

    /// Counts a time, in microseconds.
    pub fn observe_time(&self, time: Duration, times: u64) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), times);
    }

    /// Reads the counts.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let buckets = self.bounds.iter().zip(&counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound, *below))
        });
        let buckets = buckets.collect();
        // The count is derived from the buckets: values that are counted meanwhile can't put a bucket above the count.
        HistogramReading { buckets, count: counts.iter().sum(), sum: self.sum.load(Ordering::Relaxed) }
    }
}
