//! The limit on open connections, in all and for each address.
//!
//! A connection beyond the limit enters a small waiting room. There, health probes are answered, and every other
//! request waits a moment for a permit. So a full service still answers liveness probes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::{Reservation, SharedBudget};

/// Most connections in the waiting room.
const WAITING_MAX: usize = 64;

/// The longest stay in the waiting room.
pub(crate) const WAITING_TIME_MAX: Duration = Duration::from_secs(10);

/// The longest wait of a request for a permit.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(2);

/// The permits of connections.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    permits: Arc<SharedBudget>,
    waiting: Arc<SharedBudget>,
}

/// The permit of one connection; dropping it admits another.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    permits: Arc<SharedBudget>,
    caller: Caller,
    permit: OnceLock<Reservation>,
    _waiting: Option<Reservation>,
}

impl ConnectionLimit {
    pub(crate) fn new(connections_max: usize) -> Self {
        Self { permits: SharedBudget::new(connections_max), waiting: SharedBudget::new(WAITING_MAX) }
    }

    /// Admits a connection to a permit or to the waiting room; `None` where both are full.
    pub(crate) fn admit(&self, caller: &Caller) -> Option<ConnectionPermit> {
        let (permit, waiting) = match self.permits.try_reserve(caller, 1) {
            Some(permit) => (OnceLock::from(permit), None),
            None => (OnceLock::new(), Some(self.waiting.try_reserve(caller, 1)?)),
        };
        Some(ConnectionPermit { permits: Arc::clone(&self.permits), caller: caller.clone(), permit, _waiting: waiting })
    }
}

impl ConnectionPermit {
    /// Says whether the connection is still in the waiting room.
    pub(crate) fn is_waiting(&self) -> bool {
        self.permit.get().is_none()
    }

    /// Waits for a permit, unless the connection has one; `false` if none was free in time.
    pub(crate) async fn wait(&self) -> bool {
        if !self.is_waiting() {
            return true;
        }
        let Some(permit) = self.permits.reserve(&self.caller, 1, PERMIT_WAIT_MAX).await else { return false };
        // Another request of the connection may have got a permit meanwhile; one is enough.
        _ = self.permit.set(permit);
        true
    }
}

#[cfg(test)]
mod tests;
