//! The clock of a host that runs on tokio.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::Clock;
use tokio::time::Instant;

/// The system's time of day, and tokio's timer. Needs a runtime with its time driver enabled.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    started: Instant,
}

impl TokioClock {
    /// Starts a clock: its elapsed time is zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

#[async_trait]
impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "a clock port is where the time of day is read")]
        let now = SystemTime::now();
        let micros = match now.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).ok(),
            Err(before) => i64::try_from(before.duration().as_micros()).ok().map(|micros| -micros),
        };
        // A system whose time is set beyond the year 9999 must not stop the host.
        micros.and_then(Timestamp::from_micros).unwrap_or(Timestamp::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests;
