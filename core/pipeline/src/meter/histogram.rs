//! A histogram of whole numbers with fixed bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of times, in microseconds: from a commit to a fast disk to one that is given up.
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
    /// By bound, and at the end of those beyond all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramReading {
    /// Upper bounds, each with how many values were at most that.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

impl Histogram {
    /// Makes one for times, in microseconds: from a quarter of a millisecond to a minute.
    #[must_use]
    pub fn of_times() -> Self {
        Self::new(&TIMES)
    }

    /// Makes one for numbers of records.
    #[must_use]
    pub fn of_records() -> Self {
        Self::new(&RECORDS)
    }

    fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value so many times.
    pub fn observe(&self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(times, Ordering::Relaxed);
        // At a million records a second that each wait for ten seconds it is full in half a year, and begins again:
        // which readers of counters expect.
        self.sum.fetch_add(value.wrapping_mul(times), Ordering::Relaxed);
    }

    /// Counts a time, in microseconds.
    pub fn observe_time(&self, time: Duration, times: u64) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), times);
    }

    /// Reads what was counted.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let buckets = self.bounds.iter().zip(&counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound, *below))
        });
        let buckets = buckets.collect();
        // Counted from the same numbers, so that no bucket is above the count while others are counting.
        HistogramReading { buckets, count: counts.iter().sum(), sum: self.sum.load(Ordering::Relaxed) }
    }
}
