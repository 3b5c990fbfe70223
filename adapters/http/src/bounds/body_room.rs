//! The memory budget ("room") for bodies that are held in memory as a whole.
//!
//! A body takes room as its bytes arrive, so that an upload that announces many bytes and sends none holds none. Bodies
//! that each hold a part and wait for more would deadlock, so one body at a time may exceed the room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bounds::caller::Caller;
use crate::bounds::shared_room::{SharedRoom, Taken};

/// How long a piece of a body waits for room.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(10);

/// The room of all bodies.
#[derive(Debug)]
pub(crate) struct BodyRoom {
    bytes: Arc<SharedRoom>,
    /// The permit of the one body that may exceed the room.
    beyond: Arc<Semaphore>,
}

/// The part of one body; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct BodyPart {
    bytes: Taken,
    beyond: Arc<Semaphore>,
    may_exceed: Option<OwnedSemaphorePermit>,
}

impl BodyRoom {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes: SharedRoom::new(bytes), beyond: Arc::new(Semaphore::new(1)) }
    }

    /// Returns a part that holds nothing yet.
    pub(crate) fn part(&self, caller: &Caller) -> BodyPart {
        let (bytes, beyond) = (self.bytes.none_for(caller), Arc::clone(&self.beyond));
        BodyPart { bytes, beyond, may_exceed: None }
    }
}

impl BodyPart {
    /// Takes room for bytes that have arrived, and waits for it; `false` if none was free in time.
    pub(crate) async fn add(&mut self, bytes: usize) -> bool {
        if self.may_exceed.is_none() {
            tokio::select! {
                biased;
                taken = self.bytes.add(bytes, ROOM_WAIT_MAX) => return taken,
                // The semaphore is never closed.
                permit = Arc::clone(&self.beyond).acquire_owned() => self.may_exceed = permit.ok(),
            }
        }
        self.bytes.add_beyond(bytes);
        true
    }
}

#[cfg(test)]
mod tests;
