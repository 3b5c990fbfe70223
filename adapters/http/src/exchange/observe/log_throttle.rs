//! Throttles log lines that every request would repeat while a dependency is unavailable.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The interval between two log lines.
const EVERY: Duration = Duration::from_secs(10);

/// Lets one line pass per interval, and counts the suppressed ones.
#[derive(Debug)]
pub(crate) struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Returns the number of lines suppressed since the last one, if another may pass.
    pub(crate) fn try_pass(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, suppressed) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < EVERY) {
            *suppressed += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests;
