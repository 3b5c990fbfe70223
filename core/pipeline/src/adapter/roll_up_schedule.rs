//! When an adapter rolls records up: often enough for fast queries, rarely enough to cost commits little.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// This many records that are not rolled up cost a query a few milliseconds.
const ROLL_UP_FROM: u64 = 4_096;

/// From this number of records on, a roll-up does not wait for the pause.
const ROLL_UP_AT_ONCE_FROM: u64 = 65_536;

/// Decides when a process rolls records up: once [`RollUpSchedule::ENOUGH`] records wait, but not within a second after the
/// last roll-up unless 65,536 records wait. One roll-up runs at a time.
#[derive(Debug, Default)]
pub struct RollUpSchedule(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The records that this process has committed since the last roll-up began.
    waiting: u64,
    is_running: bool,
    /// When the last roll-up ended.
    ended: Option<Instant>,
}

impl RollUpSchedule {
    /// The number of records that are worth a roll-up.
    pub const ENOUGH: u64 = ROLL_UP_FROM;

    /// The pause after a roll-up. Under load it makes the next roll-up larger, which costs less for each record, since more
    /// records share a day. After the pause the adapter calls [`RollUpSchedule::committed`] for the records of that time.
    pub const PAUSE: Duration = Duration::from_secs(1);

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic can't leave plain numbers half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes committed records. Returns true if a roll-up begins; the caller ends it with [`RollUpSchedule::end`].
    #[must_use]
    pub fn committed(&self, records: u64, now: Instant) -> bool {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_add(records);
        let paused = state.ended.is_none_or(|ended| now.saturating_duration_since(ended) >= Self::PAUSE);
        (state.waiting >= ROLL_UP_AT_ONCE_FROM || (state.waiting >= ROLL_UP_FROM && paused)) && state.begin()
    }

    /// Notes the number of records, of any instance, that a query found not rolled up. Returns as
    /// [`RollUpSchedule::committed`] does.
    #[must_use]
    pub fn found(&self, pending: u64) -> bool {
        pending >= ROLL_UP_FROM && self.begin()
    }

    /// Begins a roll-up for a reason of the adapter's own. Returns false while another one is running.
    #[must_use]
    pub fn begin(&self) -> bool {
        self.state().begin()
    }

    /// Notes that the roll-up has ended, in success or failure.
    pub fn end(&self, now: Instant) {
        let mut state = self.state();
        state.is_running = false;
        state.ended = Some(now);
    }
}

impl State {
    fn begin(&mut self) -> bool {
        if self.is_running {
            return false;
        }
        self.is_running = true;
        self.waiting = 0;
        true
    }
}

#[cfg(test)]
mod tests;
