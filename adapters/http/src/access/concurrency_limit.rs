//! Concurrency limits for responses that hold a scarce resource for long: a snapshot of the database, or a connection
//! and its memory. A request beyond the limit is refused soon, because it might wait for hours behind slow readers.
//! Callers share the permits.

use std::sync::Arc;
use std::time::Duration;

use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::{Reservation, SharedBudget};
use crate::exchange::response::problem::{Problem, ProblemCode};

/// A limit on the responses of one kind that are in flight.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    permits: Arc<SharedBudget>,
    /// The longest wait for a permit. A wait pays off where responses are short and return their permits soon.
    wait_max: Duration,
    /// The name of the responses in a refusal.
    name: &'static str,
}

/// A permit for one response; dropping it returns it.
#[derive(Debug)]
pub(crate) struct ConcurrencyPermit(#[expect(dead_code, reason = "it is held, not used")] Reservation);

impl ConcurrencyLimit {
    pub(crate) fn new(permits: usize, wait_max: Duration, name: &'static str) -> Self {
        Self { permits: SharedBudget::new(permits), wait_max, name }
    }

    /// Returns the number of permits in use.
    pub(crate) fn in_use(&self) -> usize {
        self.permits.in_use()
    }

    /// Acquires a permit for a caller, and waits for one up to the limit's longest wait.
    pub(crate) async fn try_acquire(&self, caller: &Caller) -> Result<ConcurrencyPermit, Problem> {
        self.permits.reserve(caller, 1, self.wait_max).await.map(ConcurrencyPermit).ok_or_else(|| {
            let detail = format!("As many {} are in flight as there is room for; repeat the request later.", self.name);
            Problem::new(ProblemCode::Overloaded, detail)
        })
    }
}

#[cfg(test)]
mod tests;
