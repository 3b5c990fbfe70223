//! Plans that are made while the batch before is being written.
//!
//! SQLite writes one batch after the other. What can be done of the next one meanwhile is done beside: it is planned
//! upon the plan before it, from what this process remembers of the database, and its texts are made. When its turn
//! comes, it is written if all is as it was expected; otherwise it is planned again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tallyhouse_core::ports::{Batch, CommitOrder};
use tallyhouse_core::{Known, Outcome, Plan, StoredRecord, Summary, plan, rules_to_json};
use tallyhouse_pipeline::adapter::{SpeculationGate, SummaryCache};

/// What the commits of this process remember of the database. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitCache(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// As they are when all that is planned has been written.
    pub(crate) summaries: SummaryCache,
    /// That records come for the first time: then their ids are not looked up, and the index refuses those that are
    /// taken.
    pub(crate) unseen: SpeculationGate,
    /// How often the summaries were forgotten.
    forgotten: u64,
}

impl Memory {
    pub(crate) fn forget(&mut self) {
        self.summaries.forget();
        self.forgotten += 1;
    }
}

impl CommitCache {
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic while planning leaves what is only expected.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a batch upon all that is planned already, if everything that it takes is remembered. No other batch may be
    /// planned before this one has its place behind the others.
    pub(crate) fn plan(&self, batch: &Batch, order: &Arc<dyn CommitOrder>) -> Option<Planned> {
        let (rules_version, rules) = batch.rules.latest();
        let mut memory = self.memory();
        if !memory.unseen.is_open() || !order.may_start() {
            return None;
        }
        let mut summaries = HashMap::new();
        for key in batch.arrivals.iter().map(|arrival| arrival.record.key()) {
            if let Entry::Vacant(entry) = summaries.entry(key) {
                let summary = memory.summaries.get(entry.key())?.clone();
                entry.insert(summary);
            }
        }
        let plan = plan(&batch.arrivals, Known { summaries, ..Known::default() }, &rules, batch.now);
        if plan.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_))) {
            // It may be one that was processed before.
            return None;
        }
        memory.summaries.note(&plan.summaries);
        let pending = self.expect(memory.forgotten, order);
        drop(memory);
        Some(Planned { texts: Texts::of(&plan), plan, rules_version, pending })
    }

    /// Notes what a plan is about to write that was made in its transaction.
    pub(crate) fn note(&self, plan: &Plan, order: &Arc<dyn CommitOrder>) -> Pending {
        let mut memory = self.memory();
        memory.summaries.note(&plan.summaries);
        self.expect(memory.forgotten, order)
    }

    fn expect(&self, forgotten: u64, order: &Arc<dyn CommitOrder>) -> Pending {
        order.start();
        Pending { cache: self.clone(), order: Arc::clone(order), forgotten, is_committed: false }
    }
}

/// A batch that was planned before its turn.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) texts: Texts,
    /// That of the rules by which it was planned.
    pub(crate) rules_version: u64,
    pub(crate) pending: Pending,
}

/// That a plan will be committed. If it is not, whatever was expected upon it is forgotten.
pub(crate) struct Pending {
    cache: CommitCache,
    order: Arc<dyn CommitOrder>,
    forgotten: u64,
    is_committed: bool,
}

impl Pending {
    /// Says whether all that the plan was made upon has been committed, in its turn.
    pub(crate) fn holds(&self) -> bool {
        self.cache.memory().forgotten == self.forgotten
    }

    pub(crate) fn committed(mut self) {
        self.is_committed = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_committed {
            self.cache.memory().forget();
            self.order.revoke();
        }
    }
}

/// The texts of what a plan writes that have to be made.
pub(crate) struct Texts {
    pub(crate) records: Vec<RecordTexts>,
    /// Those of the summaries, in their order.
    pub(crate) summaries: Vec<String>,
}

pub(crate) struct RecordTexts {
    pub(crate) value: String,
    pub(crate) previous: Option<String>,
    pub(crate) alerts: Option<String>,
}

impl Texts {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            records: plan.stored.iter().map(|stored| RecordTexts::of(stored)).collect(),
            summaries: plan.summaries.iter().map(|(_, summary)| Summary::to_compact(summary)).collect(),
        }
    }
}

impl RecordTexts {
    fn of(stored: &StoredRecord) -> Self {
        Self {
            value: stored.processed.record.value.to_string(),
            previous: (stored.previous.count() > 0).then(|| stored.previous.to_compact()),
            alerts: (!stored.alerts.is_empty()).then(|| rules_to_json(&stored.alerts)),
        }
    }
}
