//! The heart: what a batch of records does to what is stored. A pure function.

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

/// A record on its way in, with the trace that it belongs to.
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

/// What the store already has for the record ids and the keys of a batch. It is read under lock in the transaction of
/// the batch, or taken from a cache and verified there. What it has beyond the batch does no harm.
#[derive(Debug, Default)]
pub struct Known {
    /// The records of the batch's ids that exist.
    pub records: HashMap<RecordId, ProcessedRecord>,
    /// The running summaries of the batch's keys; a key without one has no record yet.
    pub summaries: HashMap<Key, Summary>,
}

/// What a batch does: each record's outcome, and what is to be written for it.
#[derive(Debug, Default)]
pub struct Plan {
    /// One outcome for each record of the batch, in its order.
    pub outcomes: Vec<Outcome>,
    /// The records to insert, in processing order. Each owes a notification and an alert for every rule it met.
    pub stored: Vec<Arc<StoredRecord>>,
    /// The new running summary of every key that changed, sorted by key.
    pub summaries: Vec<(Key, Summary)>,
}

/// Decides what a batch does, given what the store has. Duplicates and conflicts inside the batch are dealt with
/// exactly as those against the store, so that a batch of n does what n batches of one do. O(records) hash look-ups.
///
/// The store MUST be as in `known` when the plan is written.
#[must_use]
pub fn plan(batch: &[Arrival], known: Known, rules: &RuleSet, now: Timestamp) -> Plan {
    let mut state = State { known, fresh: HashMap::new(), changed: HashMap::new(), stored: Vec::new() };
    let outcomes = batch.iter().map(|arrival| state.decide(arrival, rules, now)).collect();
    let mut summaries: Vec<(Key, Summary)> = state.changed.into_iter().collect();
    summaries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Plan { outcomes, stored: state.stored, summaries }
}

/// The store as it would be after the records decided so far.
struct State {
    known: Known,
    /// Records of this batch that are to be inserted.
    fresh: HashMap<RecordId, Arc<StoredRecord>>,
    /// Summaries that records of this batch have changed.
    changed: HashMap<Key, Summary>,
    stored: Vec<Arc<StoredRecord>>,
}

impl State {
    fn decide(&mut self, arrival: &Arrival, rules: &RuleSet, now: Timestamp) -> Outcome {
        let record = &arrival.record;
        if let Some(first) = self.seen(&record.record_id) {
            return compare(first, record);
        }
        let summary = match self.changed.entry(record.key()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = self.known.summaries.get(entry.key()).cloned().unwrap_or_default();
                // A key that only refusals touch stays as it is.
                if before.has_no_room_for(&record.unit) {
                    return one_unit_too_many(record);
                }
                entry.insert(before)
            }
        };
        if summary.has_no_room_for(&record.unit) {
            return one_unit_too_many(record);
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
        self.fresh.insert(record.record_id.clone(), Arc::clone(&stored));
        self.stored.push(Arc::clone(&stored));
        Outcome::Processed(stored)
    }

    fn seen(&self, id: &RecordId) -> Option<&ProcessedRecord> {
        self.known.records.get(id).or_else(|| self.fresh.get(id).map(|stored| &stored.processed))
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

fn one_unit_too_many(record: &Record) -> Outcome {
    let detail = format!(
        "would be the unit number {} of this destination and reference; {} are allowed",
        Summary::UNITS_MAX + 1,
        Summary::UNITS_MAX
    );
    Outcome::Rejected(Rejection::at(Some(record.record_id.clone()), Field::Unit.pointer(), detail))
}

#[cfg(test)]
mod tests;
