//! Keeps what every request may say from filling the log while a dependency is away.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the same is said.
const EVERY: Duration = Duration::from_secs(10);

/// Lets one of many through every few seconds, and counts the others.
#[derive(Debug)]
pub(crate) struct LogThrottle(Mutex<(Option<Instant>, u64)>);

impl LogThrottle {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Returns how many were passed over since the last one, if it is time for another.
    pub(crate) fn passes(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, passed_over) = &mut *state;
        if last.is_some_and(|last| last.elapsed() < EVERY) {
            *passed_over += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(passed_over))
    }
}

#[cfg(test)]
mod tests;
