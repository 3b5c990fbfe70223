//! The memory budget for bodies that are held in memory as a whole.
//!
//! A body reserves bytes as they arrive, so that an upload that announces many bytes and sends none holds none. Bodies
//! that each hold a part and wait for more would deadlock, so one body at a time may exceed the budget.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::{Reservation, SharedBudget};

/// How long a piece of a body waits for budget.
const BUDGET_WAIT_MAX: Duration = Duration::from_secs(10);

/// The budget of all bodies.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    bytes: Arc<SharedBudget>,
    /// The permit of the one body that may exceed the budget.
    overflow: Arc<Semaphore>,
}

/// The reservation of one body; dropping it releases the bytes.
#[derive(Debug)]
pub(crate) struct BodyReservation {
    bytes: Reservation,
    overflow: Arc<Semaphore>,
    overflow_permit: Option<OwnedSemaphorePermit>,
}

impl BodyBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: SharedBudget::new(bytes), overflow: Arc::new(Semaphore::new(1)) }
    }

    /// Returns a reservation of no bytes yet.
    pub(crate) fn empty_reservation(&self, caller: &Caller) -> BodyReservation {
        let (bytes, overflow) = (self.bytes.empty_reservation(caller), Arc::clone(&self.overflow));
        BodyReservation { bytes, overflow, overflow_permit: None }
    }
}

impl BodyReservation {
    /// Reserves bytes that have arrived, and waits for budget; `false` if none was free in time.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        if self.overflow_permit.is_none() {
            tokio::select! {
                biased;
                has_grown = self.bytes.grow(bytes, BUDGET_WAIT_MAX) => return has_grown,
                // The semaphore is never closed.
                permit = Arc::clone(&self.overflow).acquire_owned() => self.overflow_permit = permit.ok(),
            }
        }
        self.bytes.force_grow(bytes);
        true
    }
}

#[cfg(test)]
mod tests;
