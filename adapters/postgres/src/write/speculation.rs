//! State shared by the optimistic commits of one process: cached summaries, gates, commits in flight.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tallyhouse_core::ports::{Batch, CommitOrder};
use tallyhouse_core::{Key, Known, Plan, RecordId};
use tallyhouse_pipeline::adapter::{SpeculationGate, SummaryCache};

/// Longest wait for another commit of this process: Postgres' default `deadlock_timeout`. Postgres does not see this
/// wait, so a deadlock that involves it and another process must end here.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How batches are committed, as metrics name it.
const PATHS: [&str; 4] = ["optimistic", "pipelined", "locked", "mispredicted"];

/// How a batch was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitPath {
    /// By one statement.
    Optimistic,
    /// Upon another commit that was in flight.
    Pipelined,
    /// With locks.
    Locked,
    /// Not at all: the plan's expectations did not hold. The batch is then committed with locks, which counts by itself.
    Mispredicted,
}

/// The shared state, and the means to wait for its changes.
#[derive(Default)]
pub(super) struct Speculation {
    state: Mutex<State>,
    /// Notified when a commit ends.
    commit_ended: Condvar,
    /// Batches committed by each path.
    counts: [AtomicU64; PATHS.len()],
}

#[derive(Default)]
pub(super) struct State {
    /// The summaries as they will be when every commit in flight has committed.
    pub(super) summaries: SummaryCache,
    /// Open while no other process changes the keys of this one.
    pub(super) keys_unshared: SpeculationGate,
    /// Open while all records are new: their ids are not looked up.
    pub(super) ids_new: SpeculationGate,
    /// The ids that commits in flight insert.
    ids_in_flight: HashSet<RecordId>,
    /// The optimistic commits in flight, in the order of their plans.
    in_flight: Vec<InFlight>,
    last_number: u64,
    /// Commits with locks that are in flight.
    locked_in_flight: usize,
    /// How often the cached summaries were invalidated as a whole.
    generation: u64,
}

/// An optimistic commit in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InFlight {
    number: u64,
    /// The [`State::generation`] in which it was planned.
    generation: u64,
    began: Instant,
}

impl InFlight {
    /// Says whether the commit takes too long, e.g. on a dead connection. Other commits neither wait for it nor are
    /// planned upon it; the store decides its result.
    fn is_stuck(self) -> bool {
        self.began.elapsed() > WAIT_MAX
    }
}

impl Speculation {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while planning leaves wrong expectations at worst, and the store checks all of them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while `condition` holds, at most [`WAIT_MAX`]. Returns false if it still holds.
    fn wait_while(&self, mut condition: impl FnMut(&State) -> bool) -> bool {
        let waited = self.commit_ended.wait_timeout_while(self.state(), WAIT_MAX, |state| condition(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lets locking commits drain first; otherwise every commit degrades to locking.
    pub(super) fn drain_locked_commits(&self) {
        let drained = self.wait_while(|state| state.keys_unshared.is_open() && state.locked_in_flight > 0);
        if !drained {
            // One of them is stuck: the next batches do not wait for it.
            self.state().keys_unshared.record(false);
        }
    }

    /// Waits until a commit in flight has ended. Returns false if it takes too long.
    pub(super) fn await_end(&self, commit: InFlight) -> bool {
        self.wait_while(|state| state.in_flight.contains(&commit))
    }

    /// Keeps new optimistic commits from starting until the guard is dropped, and waits for those in flight: they take
    /// their ids and keys in another order than a commit with locks does. If one takes too long, Postgres detects the
    /// deadlock.
    pub(super) fn pause(&self) -> Pause<'_> {
        self.state().locked_in_flight += 1;
        let pause = Pause(self);
        let _drained = self.wait_while(|state| state.in_flight.iter().any(|commit| !commit.is_stuck()));
        pause
    }

    /// Ends a commit in flight. `failed` is its place in the order, if it was not committed.
    pub(super) fn end(&self, commit: InFlight, plan: &Plan, failed: Option<&dyn CommitOrder>) {
        let mut state = self.state();
        if let Some(order) = failed {
            order.revoke();
        }
        for stored in &plan.stored {
            state.ids_in_flight.remove(&stored.processed.record.record_id);
        }
        state.in_flight.retain(|other| *other != commit);
        drop(state);
        self.commit_ended.notify_all();
    }

    pub(super) fn count(&self, path: CommitPath) {
        self.counts[path as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> [(&'static str, u64); PATHS.len()] {
        std::array::from_fn(|path| (PATHS[path], self.counts[path].load(Ordering::Relaxed)))
    }
}

impl State {
    /// Says whether a batch may be committed optimistically now: not beside commits whose plans are unknown or will
    /// fail, and not where it would wait for an id of a commit that waits for it.
    pub(super) fn may_speculate(&self, batch: &Batch) -> bool {
        let id_is_free = |id: &RecordId| !self.ids_in_flight.contains(id);
        self.keys_unshared.is_open()
            && self.locked_in_flight == 0
            && self.in_flight.iter().all(|commit| self.is_current(*commit) || commit.is_stuck())
            && (self.ids_in_flight.is_empty()
                || batch.arrivals.iter().all(|arrival| id_is_free(&arrival.record.record_id)))
    }

    /// Says whether the predecessors of a batch are certain to commit before it. Nothing is planned upon a stuck commit.
    pub(super) fn follows_predecessors(&self, order: &dyn CommitOrder) -> bool {
        order.predecessors_done() || (order.may_start() && !self.in_flight.iter().copied().any(InFlight::is_stuck))
    }

    /// Adds a planned commit to those in flight. Later plans are made upon its summaries. Also returns the commit before
    /// it, which it has to wait for.
    pub(super) fn begin(&mut self, plan: &Plan) -> (InFlight, Option<InFlight>) {
        self.summaries.insert(&plan.summaries);
        self.ids_in_flight.extend(plan.stored.iter().map(|stored| stored.processed.record.record_id.clone()));
        self.last_number += 1;
        let commit = InFlight { number: self.last_number, generation: self.generation, began: Instant::now() };
        let predecessor = self.in_flight.last().copied().filter(|before| !before.is_stuck());
        self.in_flight.push(commit);
        (commit, predecessor)
    }

    /// Says whether the plan of a commit still has its base: no commit that it was planned upon has failed.
    pub(super) fn is_current(&self, commit: InFlight) -> bool {
        self.generation == commit.generation
    }

    /// Removes the summaries of a failed commit from the cache; all summaries, if other commits were planned upon it.
    pub(super) fn invalidate(&mut self, commit: InFlight, plan: &Plan) {
        if self.in_flight.iter().any(|other| *other != commit) {
            self.summaries.clear();
            self.generation += 1;
        } else {
            self.summaries.remove(plan.summaries.iter().map(|(key, _)| key));
        }
    }

    /// Returns the sorted keys whose summaries are not cached.
    pub(super) fn uncached(&self, keys: &[Key]) -> Vec<Key> {
        keys.iter().filter(|key| self.summaries.get(key).is_none()).cloned().collect()
    }

    /// Compares the cache with the stored state that a commit with locks has read.
    pub(super) fn observe(&mut self, keys: &[Key], known: &Known) {
        let is_as_cached =
            |key: &Key| self.summaries.get(key).is_none_or(|cached| known.summaries.get(key) == Some(cached));
        let unshared = keys.iter().all(is_as_cached);
        self.keys_unshared.record(unshared);
        self.ids_new.record(known.records.is_empty());
    }
}

/// A commit with locks is in flight.
pub(crate) struct Pause<'a>(&'a Speculation);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.state().locked_in_flight -= 1;
        self.0.commit_ended.notify_all();
    }
}
