//! How often and how long to try again: exponential back-off with jitter and a cap.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

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
    pub(crate) fn waits(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.wait_min)
            .with_max_delay(self.wait_max)
            .without_max_times()
            .build()
    }
}
