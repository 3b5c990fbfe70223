//! When an adapter folds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many records that are not folded cost a question a few milliseconds.
const FOLD_AFTER: u64 = 4_096;

/// From so many on they are folded however long ago the last folding was.
const FOLD_AT_LAST: u64 = 65_536;

/// Says when a process is to fold records into roll-ups: when [`RollUpSchedule::ENOUGH`] wait, but a second after the
/// last folding at the earliest, unless 65,536 wait; one folding at a time.
#[derive(Debug, Default)]
pub struct RollUpSchedule(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Records that this process has committed since the last folding began.
    waiting: u64,
    folding: bool,
    /// When the last folding ended.
    ended: Option<Instant>,
}

impl RollUpSchedule {
    /// How many records are worth a folding.
    pub const ENOUGH: u64 = FOLD_AFTER;

    /// The pause after a folding. Under load it makes the next one larger, which costs less for each record, since more
    /// of them share a day. After it the adapter is to call [`RollUpSchedule::committed`] for those that came meanwhile.
    pub const PAUSE: Duration = Duration::from_secs(1);

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain numbers, set one by one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns that records have been committed. If it returns true, a folding has begun, which is to be ended by
    /// [`RollUpSchedule::end`].
    #[must_use]
    pub fn committed(&self, records: u64, now: Instant) -> bool {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_add(records);
        let paused = state.ended.is_none_or(|ended| now.saturating_duration_since(ended) >= Self::PAUSE);
        (state.waiting >= FOLD_AT_LAST || (state.waiting >= FOLD_AFTER && paused)) && state.begin()
    }

    /// Learns how many records a question found that are not folded, whoever has committed them. Returns as
    /// [`RollUpSchedule::committed`] does.
    #[must_use]
    pub fn found(&self, unfolded: u64) -> bool {
        unfolded >= FOLD_AFTER && self.begin()
    }

    /// Begins a folding for a reason of the adapter's own. Returns as [`RollUpSchedule::committed`] does: false while
    /// another one is under way.
    #[must_use]
    pub fn begin(&self) -> bool {
        self.state().begin()
    }

    /// Learns that the folding has ended, whether or not it was done.
    pub fn end(&self, now: Instant) {
        let mut state = self.state();
        state.folding = false;
        state.ended = Some(now);
    }
}

impl State {
    fn begin(&mut self) -> bool {
        if self.folding {
            return false;
        }
        self.folding = true;
        self.waiting = 0;
        true
    }
}

#[cfg(test)]
mod tests;
