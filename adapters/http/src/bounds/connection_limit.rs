//! The limit on open connections, in all and for each address.
//!
//! A connection beyond the limit enters a small waiting room. There, health probes are answered, and every other
//! request waits a moment for a place. So a full service still answers liveness probes.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::bounds::caller::Caller;
use crate::bounds::shared_room::{SharedRoom, Taken};

/// Most connections in the waiting room.
const WAITING_MAX: usize = 64;

/// The longest stay in the waiting room.
pub(crate) const WAITING_TIME_MAX: Duration = Duration::from_secs(10);

/// The longest wait of a request for a place.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The places of connections.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    places: Arc<SharedRoom>,
    waiting: Arc<SharedRoom>,
}

/// The place of one connection; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<SharedRoom>,
    caller: Caller,
    place: OnceLock<Taken>,
    _waiting: Option<Taken>,
}

impl ConnectionLimit {
    pub(crate) fn new(connections_max: usize) -> Self {
        Self { places: SharedRoom::new(connections_max), waiting: SharedRoom::new(WAITING_MAX) }
    }

    /// Admits a connection to a place or to the waiting room; `None` where both are full.
    pub(crate) fn admit(&self, caller: &Caller) -> Option<Place> {
        let (place, waiting) = match self.places.try_take(caller, 1) {
            Some(place) => (OnceLock::from(place), None),
            None => (OnceLock::new(), Some(self.waiting.try_take(caller, 1)?)),
        };
        Some(Place { places: Arc::clone(&self.places), caller: caller.clone(), place, _waiting: waiting })
    }
}

impl Place {
    /// Says whether the connection is still in the waiting room.
    pub(crate) fn is_waiting(&self) -> bool {
        self.place.get().is_none()
    }

    /// Waits for a place, unless the connection has one; `false` if none was free in time.
    pub(crate) async fn wait(&self) -> bool {
        if !self.is_waiting() {
            return true;
        }
        let Some(place) = self.places.take(&self.caller, 1, PLACE_WAIT_MAX).await else { return false };
        // Another request of the connection may have got a place meanwhile; one is enough.
        _ = self.place.set(place);
        true
    }
}

#[cfg(test)]
mod tests;
