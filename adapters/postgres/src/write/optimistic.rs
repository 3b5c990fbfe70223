//! Optimistic commits: planned from cached summaries, and written only if the store is as the plan expects.
//!
//! A process need not read summaries that it has written itself, nor look up the ids of new records. The statement that
//! writes checks both, and writes nothing if one of them differs (`write_plan` in the migrations). So a commit is
//! one round trip.
//!
//! A commit that starts while another one of this process is in flight is *pipelined*: planned upon that one's plan. It
//! inserts its records at once, which is most of the work, then waits for the other commit and updates the summaries.

use std::fmt;
use std::sync::Arc;

use diesel::pg::PgConnection;
use diesel::result::Error as DieselError;
use tallyhouse_core::ports::{Batch, CommitOrder, Committed};
use tallyhouse_core::{Key, Known, Outcome, Plan, RuleSet, plan};

use crate::sql::error::StoreError;
use crate::write::known::{CompactSummaries, KeyLocks, read};
use crate::write::plan::{Expectations, Written, insert_records, write_pipelined, write_plan};
use crate::write::rules;
use crate::write::speculation::{CommitPath, InFlight, Pause, Speculation};

/// Commits batches optimistically. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Optimistic(Arc<Speculation>);

/// A commit that is planned and in flight.
struct PlannedCommit<'a> {
    speculation: &'a Speculation,
    plan: Plan,
    expectations: Expectations,
    in_flight: InFlight,
    /// The commit that this one was planned upon.
    predecessor: Option<InFlight>,
    order: Arc<dyn CommitOrder>,
    is_committed: bool,
}

impl fmt::Debug for Optimistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimistic").finish_non_exhaustive()
    }
}

impl Optimistic {
    /// Commits a batch. Returns `None`, with nothing written, if the batch has to be committed with locks.
    ///
    /// # Errors
    /// Nothing is committed, except for [`StoreError::CommitUnknown`].
    pub(crate) fn commit(
        &self,
        connection: &mut PgConnection,
        batch: &Batch,
        order: &Arc<dyn CommitOrder>,
        keys: &[Key],
    ) -> Result<Option<Committed>, StoreError> {
        self.0.drain_locked_commits();
        let (uncached, ids_new) = {
            let state = self.0.state();
            if !state.may_speculate(batch) {
                return Ok(None);
            }
            (state.uncached(keys), state.ids_new.is_open())
        };
        let (mut known, mut rules) = (Known::default(), batch.rules.latest());
        // Uncached keys, and ids that may be taken, cost one read without locks.
        if !uncached.is_empty() || !ids_new {
            let arrivals = (!ids_new).then_some(&*batch.arrivals);
            let stored = read(connection, KeyLocks::None, &uncached, arrivals)?;
            let version = stored.rules_version;
            rules = (version, batch.rules.in_force(version, || rules::managed(connection))?);
            known = stored.known;
            if !ids_new {
                self.0.state().ids_new.record(known.records.is_empty());
            }
        }
        let Some(planned) = self.plan(batch, order, (keys, &uncached), known, rules) else { return Ok(None) };
        let path = if planned.predecessor.is_some() { CommitPath::Pipelined } else { CommitPath::Optimistic };
        let written = planned.write(connection, batch);
        let committed = planned.finish(written)?;
        self.0.count(if committed.is_some() { path } else { CommitPath::Mispredicted });
        Ok(committed)
    }

    /// Plans a batch upon every commit in flight. `known` holds the stored summaries of the keys `read`. Returns `None`
    /// if the batch has to be committed with locks.
    fn plan(
        &self,
        batch: &Batch,
        order: &Arc<dyn CommitOrder>,
        (keys, read): (&[Key], &[Key]),
        mut known: Known,
        (rules_version, rules): (u64, Arc<RuleSet>),
    ) -> Option<PlannedCommit<'_>> {
        let mut state = self.0.state();
        if !state.may_speculate(batch) || !state.follows_predecessors(&**order) {
            return None;
        }
        for key in keys {
            // A cached summary is newer than a stored one: it includes the commits in flight.
            if let Some(summary) = state.summaries.get(key) {
                known.summaries.insert(key.clone(), summary.clone());
            } else if read.binary_search(key).is_err() {
                // The summary was cached before the read, and is no longer.
                return None;
            }
        }
        let summaries = CompactSummaries::of(keys, &known);
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        if plan.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_))) {
            // A rejection based on cached state would never be verified.
            return None;
        }
        let (in_flight, predecessor) = state.begin(&plan);
        let expectations = Expectations {
            summaries: summaries.of_changed(&plan),
            rules_version: Some(rules_version),
            keys_to_remove: Vec::new(),
        };
        // Under the lock: every later plan is made upon this one.
        order.start();
        Some(PlannedCommit {
            speculation: &self.0,
            plan,
            expectations,
            in_flight,
            predecessor,
            order: Arc::clone(order),
            is_committed: false,
        })
    }

    /// Keeps new optimistic commits from starting until the guard is dropped, and waits for those in flight.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.0.pause()
    }

    /// Compares the cache with the stored state that a commit with locks has read.
    pub(crate) fn observe(&self, keys: &[Key], known: &Known) {
        self.0.state().observe(keys, known);
    }

    /// Caches the summaries that a commit with locks is about to write.
    pub(crate) fn cache(&self, plan: &Plan) {
        self.0.state().summaries.insert(&plan.summaries);
    }

    /// Removes the keys of a commit with locks that failed from the cache.
    pub(crate) fn uncache(&self, keys: &[Key]) {
        self.0.state().summaries.remove(keys);
    }

    /// Counts a commit with locks.
    pub(crate) fn count_locked(&self) {
        self.0.count(CommitPath::Locked);
    }

    /// Returns how many batches were committed by each path.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 4] {
        self.0.counts()
    }
}

impl PlannedCommit<'_> {
    fn write(&self, connection: &mut PgConnection, batch: &Batch) -> Result<Written, StoreError> {
        match self.predecessor {
            // The statement commits by itself.
            None => write_plan(connection, batch, &self.plan, &self.expectations)
                .map_err(|error| commit_unknown(error, true)),
            Some(predecessor) => self.write_upon(connection, batch, predecessor),
        }
    }

    /// Inserts the records beside the predecessor's commit, and writes the rest after it.
    fn write_upon(
        &self,
        connection: &mut PgConnection,
        batch: &Batch,
        predecessor: InFlight,
    ) -> Result<Written, StoreError> {
        let mut written = false;
        let result = connection.build_transaction().read_committed().run(|connection| {
            let slot = match self.plan.stored.is_empty() {
                true => 0,
                false => insert_records(connection, batch, &self.plan)?,
            };
            if !self.speculation.await_end(predecessor) {
                return Err(Rollback(Ok(Written::PredecessorSlow)));
            }
            if !self.speculation.state().is_current(self.in_flight) {
                return Err(Rollback(Ok(Written::SummaryDiffers)));
            }
            match write_pipelined(connection, batch, &self.plan, &self.expectations, slot)? {
                Written::All(entry) => {
                    written = true;
                    Ok(Written::All(entry))
                }
                differs => Err(Rollback(Ok(differs))),
            }
        });
        match result {
            Ok(written) => Ok(written),
            Err(Rollback(Err(StoreError::IdConflict))) => Ok(Written::IdTaken),
            Err(Rollback(rolled_back)) => rolled_back.map_err(|error| commit_unknown(error, written)),
        }
    }

    /// Turns the result of the write into that of the commit. Returns `None` if the batch has to be committed with
    /// locks; the cached summaries that depended on it are then invalidated.
    fn finish(mut self, written: Result<Written, StoreError>) -> Result<Option<Committed>, StoreError> {
        if let Ok(Written::All(entry)) = written {
            self.is_committed = true;
            return Ok(Some(Committed { outcomes: std::mem::take(&mut self.plan.outcomes), entry }));
        }
        {
            let mut state = self.speculation.state();
            // A commit whose base has failed was bound to fail. That says nothing about other processes.
            if state.is_current(self.in_flight) {
                match &written {
                    Ok(Written::IdTaken) => state.ids_new.record(false),
                    Ok(Written::SummaryDiffers) => state.keys_unshared.record(false),
                    Ok(Written::All(_) | Written::RulesDiffer | Written::PredecessorSlow) | Err(_) => {}
                }
            }
            state.invalidate(self.in_flight, &self.plan);
            // Under the same lock as the start.
            self.order.revoke();
        }
        match written {
            Err(error) if !error.is_transient() => Err(error),
            _ => Ok(None),
        }
    }
}

impl Drop for PlannedCommit<'_> {
    fn drop(&mut self) {
        let failed = (!self.is_committed).then_some(&*self.order);
        self.speculation.end(self.in_flight, &self.plan, failed);
    }
}

/// Why a transaction is rolled back: the store was not as expected, or a statement failed.
struct Rollback(Result<Written, StoreError>);

impl From<StoreError> for Rollback {
    fn from(error: StoreError) -> Self {
        Self(Err(error))
    }
}

impl From<DieselError> for Rollback {
    fn from(error: DieselError) -> Self {
        Self(Err(error.into()))
    }
}

/// Marks a connection that was cut while the commit was in flight: its result is unknown.
fn commit_unknown(error: StoreError, committing: bool) -> StoreError {
    if committing && error.is_disconnected() { StoreError::CommitUnknown(Box::new(error)) } else { error }
}
