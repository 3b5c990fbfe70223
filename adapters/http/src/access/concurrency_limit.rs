//! Room for answers that hold something for long: a snapshot of the database, or a connection and its memory. Whoever
//! finds none is told so soon, instead of waiting behind clients that may read slowly for hours.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::answer::problem::{Problem, ProblemCode};

/// Room for so many answers of one kind.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    free: Arc<Semaphore>,
    size: usize,
    /// How long an answer may wait for its slot: answers that are soon done give theirs back at any moment.
    patience: Duration,
    /// What they are, in words.
    what: &'static str,
}

/// A place among the answers under way; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ConcurrencyPermit(#[expect(dead_code, reason = "it is held, not used")] OwnedSemaphorePermit);

impl ConcurrencyLimit {
    pub(crate) fn new(slots: usize, patience: Duration, what: &'static str) -> Self {
        let size = slots.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(size)), size, patience, what }
    }

    /// Returns how many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    /// Takes a slot, waiting a moment for one.
    pub(crate) async fn take(&self) -> Result<ConcurrencyPermit, Problem> {
        let slot = timeout(self.patience, Arc::clone(&self.free).acquire_owned()).await;
        // The semaphore is never closed.
        slot.ok().and_then(Result::ok).map(ConcurrencyPermit).ok_or_else(|| {
            let detail = format!("As many {} are under way as there is room for; repeat the request later.", self.what);
            Problem::new(ProblemCode::Overloaded, detail)
        })
    }
}

#[cfg(test)]
mod tests;
