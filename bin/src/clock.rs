//! The clock port, served by the system clock.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tallyhouse_pipeline::Timestamp;
use tallyhouse_pipeline::ports::Clock;

/// Reads the system time, and sleeps on the tokio runtime.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock {
    /// The zero of [`Clock::elapsed`].
    started: Instant,
}

impl SystemClock {
    /// Starts a clock.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock port")]
        let now = SystemTime::now();
        let micros = match now.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).ok(),
            Err(before) => i64::try_from(before.duration().as_micros()).ok().map(|micros| -micros),
        };
        // A clock that is set beyond the year 9999 must not stop the service.
        micros.and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
