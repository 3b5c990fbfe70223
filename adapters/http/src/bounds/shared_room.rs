//! A budget ("room") that callers share: permits, or bytes.
//!
//! A caller may take more while it holds less than three times the free room. A single caller can take three quarters;
//! the more others take, the less each may. So no caller shuts the others out, and nobody has to configure shares
//! (dynamic thresholds: Choudhury and Hahne, 1998).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::bounds::caller::Caller;

/// How many times the free room a caller may hold.
const FREE_FACTOR: usize = 3;

/// Room of a fixed size.
#[derive(Debug)]
pub(crate) struct SharedRoom {
    size: usize,
    held: Mutex<Held>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    in_all: usize,
    by: HashMap<Caller, usize>,
}

/// A part of the room; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Taken {
    room: Arc<SharedRoom>,
    caller: Caller,
    units: usize,
}

impl SharedRoom {
    pub(crate) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self { size, held: Mutex::default(), freed: Notify::new() })
    }

    /// Returns how much is in use.
    pub(crate) fn in_use(&self) -> usize {
        self.lock().in_all
    }

    /// Takes room, if the caller may have more. The last caller that still may can exceed the room by these units.
    pub(crate) fn try_take(self: &Arc<Self>, caller: &Caller, units: usize) -> Option<Taken> {
        let mut taken = self.none_for(caller);
        taken.try_add(units).then_some(taken)
    }

    /// Takes room, and waits for it.
    pub(crate) async fn take(self: &Arc<Self>, caller: &Caller, units: usize, wait_max: Duration) -> Option<Taken> {
        let mut taken = self.none_for(caller);
        taken.add(units, wait_max).await.then_some(taken)
    }

    /// Returns an empty part, to which room can be added.
    pub(crate) fn none_for(self: &Arc<Self>, caller: &Caller) -> Taken {
        Taken { room: Arc::clone(self), caller: caller.clone(), units: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn may_take(&self, caller: &Caller, size: usize) -> bool {
        let free = size.saturating_sub(self.in_all);
        let own = self.by.get(caller).copied().unwrap_or(0);
        let is_within = match caller {
            Caller::Proxy(_) => true,
            Caller::Key(_) | Caller::Peer(_) | Caller::Others => own < free.saturating_mul(FREE_FACTOR),
        };
        free > 0 && is_within
    }

    fn add(&mut self, caller: &Caller, units: usize) {
        self.in_all += units;
        match self.by.get_mut(caller) {
            Some(own) => *own += units,
            None => _ = self.by.insert(caller.clone(), units),
        }
    }

    fn remove(&mut self, caller: &Caller, units: usize) {
        self.in_all -= units;
        if let Some(own) = self.by.get_mut(caller) {
            *own -= units;
            if *own == 0 {
                self.by.remove(caller);
            }
        }
    }
}

impl Taken {
    /// Takes more, if the caller may have more.
    pub(crate) fn try_add(&mut self, units: usize) -> bool {
        let mut held = self.room.lock();
        let may = held.may_take(&self.caller, self.room.size);
        if may {
            held.add(&self.caller, units);
            self.units += units;
        }
        may
    }

    /// Takes more, and waits for it.
    pub(crate) async fn add(&mut self, units: usize, wait_max: Duration) -> bool {
        let deadline = Instant::now() + wait_max;
        let room = Arc::clone(&self.room);
        loop {
            let mut freed = std::pin::pin!(room.freed.notified());
            // Registered before the attempt, so that no release in between is missed.
            freed.as_mut().enable();
            if self.try_add(units) {
                return true;
            }
            if timeout_at(deadline, freed).await.is_err() {
                return false;
            }
        }
    }

    /// Takes more, even beyond the room: for data that can't be refused any more.
    pub(crate) fn add_beyond(&mut self, units: usize) {
        self.room.lock().add(&self.caller, units);
        self.units += units;
    }

    /// Gives a part back.
    pub(crate) fn give_back(&mut self, units: usize) {
        let units = units.min(self.units);
        if units > 0 {
            self.room.lock().remove(&self.caller, units);
            self.units -= units;
            self.room.freed.notify_waiters();
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.give_back(self.units);
    }
}

#[cfg(test)]
mod tests;
