//! Plans a commit: decides the outcome of each record of a batch, and the writes. A pure function.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::outcome::{Outcome, ProcessedRecord, StoredRecord};
use crate::record::rejection::Rejection;
use crate::record::text::{Key, RecordId};
use crate::record::time::Timestamp;
use crate::record::{Field, Record};
use crate::rule::RuleSet;
use crate::summary::Summary;

/// A record that was sent, with its trace context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The record.
    pub record: Record,
    /// The W3C trace context that came with it.
    pub traceparent: Option<String>,
}

impl Arrival {
    /// Returns the id of the trace that it belongs to, for a log.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

impl From<Record> for Arrival {
    fn from(record: Record) -> Self {
        Self { record, traceparent: None }
    }
}

/// The stored state of the record ids and the keys of a batch. An adapter reads it under locks in the transaction of
/// the batch, or takes it from a cache and verifies it there. Entries beyond the batch do no harm.
#[derive(Debug, Default)]
pub struct Known {
    /// The records of the batch's ids that exist.
    pub records: HashMap<RecordId, ProcessedRecord>,
    /// The running summaries of the batch's keys; a key without one has no record yet.
    pub summaries: HashMap<Key, Summary>,
}

/// The plan of a batch: the outcome of each record, and the writes.
#[derive(Debug, Default)]
pub struct Plan {
    /// One outcome for each record of the batch, in its order.
    pub outcomes: Vec<Outcome>,
    /// The records to insert, in processing order. Each has a notification, and an alert for every rule that it met.
    pub stored: Vec<Arc<StoredRecord>>,
    /// The new running summary of every key that changed, sorted by key.
    pub summaries: Vec<(Key, Summary)>,
}

/// Plans a batch against the stored state. Duplicates and conflicts inside the batch are treated exactly as those
/// against the store, so that a batch of n has the effect of n batches of one. O(records) hash look-ups.
///
/// The stored state MUST still equal `known` when the plan is written.
///
/// ```
/// use tallyhouse_core::{Arrival, Draft, Known, Outcome, RuleSet, Timestamp, plan};
///
/// let draft = Draft {
///     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
///     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
/// };
/// // The same id three times: first, with the same content, and with another value.
/// let batch: Vec<Arrival> =
///     [draft.check()?, draft.check()?, Draft { value: "13", ..draft }.check()?].map(Arrival::from).into();
/// let now = Timestamp::parse("2026-01-01T09:30:01Z")?;
/// let plan = plan(&batch, Known::default(), &RuleSet::default(), now);
/// let names: Vec<&str> = plan.outcomes.iter().map(Outcome::name).collect();
/// assert_eq!(names, ["processed", "duplicate", "conflict"]);
/// assert_eq!((plan.stored.len(), plan.summaries[0].1.count()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn plan(batch: &[Arrival], known: Known, rules: &RuleSet, now: Timestamp) -> Plan {
    let mut state = State { known, inserted: HashMap::new(), changed: HashMap::new(), stored: Vec::new() };
    let outcomes = batch.iter().map(|arrival| state.decide(arrival, rules, now)).collect();
    let mut summaries: Vec<(Key, Summary)> = state.changed.into_iter().collect();
    summaries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Plan { outcomes, stored: state.stored, summaries }
}

/// The store as it would be after the records decided so far.
struct State {
    known: Known,
    /// Records of this batch that are to be inserted.
    inserted: HashMap<RecordId, Arc<StoredRecord>>,
    /// Summaries that records of this batch have changed.
    changed: HashMap<Key, Summary>,
    stored: Vec<Arc<StoredRecord>>,
}

impl State {
    fn decide(&mut self, arrival: &Arrival, rules: &RuleSet, now: Timestamp) -> Outcome {
        let record = &arrival.record;
        if let Some(first) = self.find(&record.record_id) {
            return compare(first, record);
        }
        let summary = match self.changed.entry(record.key()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = self.known.summaries.get(entry.key()).cloned().unwrap_or_default();
                // A key with only rejected records stays unchanged.
                if before.would_exceed_unit_limit(&record.unit) {
                    return unit_limit_exceeded(record, &before);
                }
                entry.insert(before)
            }
        };
        if summary.would_exceed_unit_limit(&record.unit) {
            return unit_limit_exceeded(record, summary);
        }
        let previous = summary.clone();
        let alerts = rules.met_by(record, &previous);
        summary.add(record);
        let stored = Arc::new(StoredRecord {
            processed: ProcessedRecord { record: record.clone(), sequence: summary.count(), processed_at: now },
            previous,
            alerts,
            traceparent: arrival.traceparent.clone(),
        });
        self.inserted.insert(record.record_id.clone(), Arc::clone(&stored));
        self.stored.push(Arc::clone(&stored));
        Outcome::Processed(stored)
    }

    fn find(&self, id: &RecordId) -> Option<&ProcessedRecord> {
        self.known.records.get(id).or_else(|| self.inserted.get(id).map(|stored| &stored.processed))
    }
}

fn compare(first: &ProcessedRecord, again: &Record) -> Outcome {
    let record_id = again.record_id.clone();
    let differs = first.record.differs(again);
    if differs.is_empty() {
        Outcome::Duplicate { record_id, sequence: first.sequence, processed_at: first.processed_at }
    } else {
        Outcome::Conflict { record_id, differs }
    }
}

fn unit_limit_exceeded(record: &Record, summary: &Summary) -> Outcome {
    let detail = if summary.totals().len() >= Summary::UNITS_MAX {
        format!(
            "would be the unit number {} of this destination and reference; {} are allowed",
            Summary::UNITS_MAX + 1,
            Summary::UNITS_MAX
        )
    } else {
        format!(
            "would bring the units of this destination and reference to more than {} bytes together",
            Summary::UNIT_BYTES_MAX
        )
    };
    Outcome::Rejected(Rejection::at(Some(record.record_id.clone()), Field::Unit.pointer(), detail))
}

#[cfg(test)]
mod tests;
