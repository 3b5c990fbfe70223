//! Retries: exponential back-off with jitter and a cap.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tallyhouse_core::ports::Clock;

/// The waits between retries of a call that may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first wait. Each further one is twice as long, with up to as much again added at random.
    pub wait_min: Duration,
    /// The longest wait before the random part.
    pub wait_max: Duration,
}

impl Default for RetryPolicy {
    /// 50 ms to 2 s.
    fn default() -> Self {
        Self { wait_min: Duration::from_millis(50), wait_max: Duration::from_secs(2) }
    }
}

impl RetryPolicy {
    /// Returns the waits, without end.
    ///
    /// The clock seeds the jitter: instances that fail together retry apart, and a test that moves its clock itself gets
    /// the same waits every time.
    pub(crate) fn waits(&self, clock: &dyn Clock) -> ExponentialBackoff {
        let moment = clock.now().as_micros().cast_unsigned() ^ u64::from(clock.elapsed().subsec_nanos());
        ExponentialBuilder::new()
            .with_jitter()
            .with_jitter_seed(moment)
            .with_min_delay(self.wait_min)
            .with_max_delay(self.wait_max)
            .without_max_times()
            .build()
    }
}

/// Returns whole milliseconds as a number that a log in JSON writes as one: a `u128` becomes a string there.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
