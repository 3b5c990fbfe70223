//! Plans a batch from cached summaries while its predecessor is being written.
//!
//! SQLite writes one batch at a time. Meanwhile the next batch is planned upon the plan of the one before, from cached
//! summaries, and its rows are encoded. When the writer is free, the batch is written if the cache is still valid;
//! otherwise it is planned again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tallyhouse_core::ports::{Batch, CommitOrder};
use tallyhouse_core::{Known, Outcome, Plan, StoredRecord, Summary, plan, rules_to_json};
use tallyhouse_pipeline::adapter::{SpeculationGate, SummaryCache};

/// The state that the commits of this process cache. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitCache(Arc<Mutex<CacheState>>);

#[derive(Debug, Default)]
pub(crate) struct CacheState {
    /// The summaries as they will be when every plan has been written.
    pub(crate) summaries: SummaryCache,
    /// Open while all records are new: their ids are not looked up, and the index refuses those that are taken.
    pub(crate) ids_new: SpeculationGate,
    /// How often the cached summaries were invalidated.
    generation: u64,
}

impl CacheState {
    pub(crate) fn invalidate(&mut self) {
        self.summaries.clear();
        self.generation += 1;
    }
}

impl CommitCache {
    pub(crate) fn state(&self) -> MutexGuard<'_, CacheState> {
        // A panic while planning leaves a wrong summary at worst, and its plan is dropped, which invalidates the cache.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a batch upon every plan before it, if all its summaries are cached. The caller lets no other batch be planned
    /// until this one waits for the writer.
    pub(crate) fn plan(&self, batch: &Batch, order: &Arc<dyn CommitOrder>) -> Option<PlannedBatch> {
        let (rules_version, rules) = batch.rules.latest();
        let mut state = self.state();
        if !state.ids_new.is_open() || !order.may_start() {
            return None;
        }
        let mut summaries = HashMap::new();
        for key in batch.arrivals.iter().map(|arrival| arrival.record.key()) {
            if let Entry::Vacant(entry) = summaries.entry(key) {
                let summary = state.summaries.get(entry.key())?.clone();
                entry.insert(summary);
            }
        }
        let plan = plan(&batch.arrivals, Known { summaries, ..Known::default() }, &rules, batch.now);
        if plan.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_))) {
            // A record that was processed before is a duplicate, not a rejection.
            return None;
        }
        state.summaries.insert(&plan.summaries);
        let pending = self.begin(state.generation, order);
        drop(state);
        Some(PlannedBatch { rows: EncodedRows::of(&plan), plan, rules_version, pending })
    }

    /// Caches the summaries of a plan that was made in its transaction.
    pub(crate) fn cache(&self, plan: &Plan, order: &Arc<dyn CommitOrder>) -> PendingCommit {
        let mut state = self.state();
        state.summaries.insert(&plan.summaries);
        self.begin(state.generation, order)
    }

    fn begin(&self, generation: u64, order: &Arc<dyn CommitOrder>) -> PendingCommit {
        order.start();
        PendingCommit { cache: self.clone(), order: Arc::clone(order), generation, is_committed: false }
    }
}

/// A batch that was planned before the writer was free.
pub(crate) struct PlannedBatch {
    pub(crate) plan: Plan,
    pub(crate) rows: EncodedRows,
    /// The version of the rules of the plan.
    pub(crate) rules_version: u64,
    pub(crate) pending: PendingCommit,
}

/// A plan that is not committed yet. Dropping it invalidates the cache, and with it every plan that was made upon it.
pub(crate) struct PendingCommit {
    cache: CommitCache,
    order: Arc<dyn CommitOrder>,
    generation: u64,
    is_committed: bool,
}

impl PendingCommit {
    /// Says whether every plan that this one was made upon has been committed.
    pub(crate) fn is_current(&self) -> bool {
        self.cache.state().generation == self.generation
    }

    pub(crate) fn committed(mut self) {
        self.is_committed = true;
    }
}

impl Drop for PendingCommit {
    fn drop(&mut self) {
        if !self.is_committed {
            self.cache.state().invalidate();
            self.order.revoke();
        }
    }
}

/// The encoded columns of the rows that a plan writes.
pub(crate) struct EncodedRows {
    pub(crate) records: Vec<EncodedRecord>,
    /// The summaries, in the order of the plan.
    pub(crate) summaries: Vec<String>,
}

pub(crate) struct EncodedRecord {
    pub(crate) value: String,
    pub(crate) previous: Option<String>,
    pub(crate) alerts: Option<String>,
}

impl EncodedRows {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            records: plan.stored.iter().map(|stored| EncodedRecord::of(stored)).collect(),
            summaries: plan.summaries.iter().map(|(_, summary)| Summary::to_compact(summary)).collect(),
        }
    }
}

impl EncodedRecord {
    fn of(stored: &StoredRecord) -> Self {
        Self {
            value: stored.processed.record.value.to_string(),
            previous: (stored.previous.count() > 0).then(|| stored.previous.to_compact()),
            alerts: (!stored.alerts.is_empty()).then(|| rules_to_json(&stored.alerts)),
        }
    }
}
