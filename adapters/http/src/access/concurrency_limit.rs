//! Concurrency limits for responses that hold a scarce resource for long: a snapshot of the database, or a connection
//! and its memory. A request beyond the limit is refused soon, instead of waiting behind clients that may read slowly for
//! hours.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::response::problem::{Problem, ProblemCode};

/// A limit on the responses of one kind that are in flight.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    semaphore: Arc<Semaphore>,
    size: usize,
    /// The longest wait for a permit. Short responses return theirs at any moment.
    wait_max: Duration,
    /// The responses' name, for the refusal.
    name: &'static str,
}

/// A permit for one response; dropping it returns it.
#[derive(Debug)]
pub(crate) struct ConcurrencyPermit(#[expect(dead_code, reason = "it is held, not used")] OwnedSemaphorePermit);

impl ConcurrencyLimit {
    pub(crate) fn new(permits: usize, wait_max: Duration, name: &'static str) -> Self {
        let size = permits.min(Semaphore::MAX_PERMITS);
        Self { semaphore: Arc::new(Semaphore::new(size)), size, wait_max, name }
    }

    /// Returns the number of permits in use.
    pub(crate) fn in_use(&self) -> usize {
        self.size.saturating_sub(self.semaphore.available_permits())
    }

    /// Acquires a permit, and waits for one up to the limit's longest wait.
    pub(crate) async fn try_acquire(&self) -> Result<ConcurrencyPermit, Problem> {
        let permit = timeout(self.wait_max, Arc::clone(&self.semaphore).acquire_owned()).await;
        // The semaphore is never closed.
        permit.ok().and_then(Result::ok).map(ConcurrencyPermit).ok_or_else(|| {
            let detail = format!("As many {} are under way as there is room for; repeat the request later.", self.name);
            Problem::new(ProblemCode::Overloaded, detail)
        })
    }
}

#[cfg(test)]
mod tests;
