//! How often and how long to try again: exponential back-off with jitter and a cap.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tallyhouse_core::ports::Clock;

/// When to try again after a failure that may pass.
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
    /// Returns the waits, one after the other, without end.
    ///
    /// What is random in them comes from the moment by this clock: instances that fail together try again apart, and
    /// under a clock that a test moves on, the same happens every time.
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

#[cfg(test)]
mod tests;
