//! Outcomes: processed, duplicate, conflict or rejected, the same on every ingress.

mod json;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::rejection::Rejection;
use crate::record::text::RecordId;
use crate::record::time::Timestamp;
use crate::record::{Field, Record};
use crate::rule::Rule;
use crate::summary::Summary;

/// A record as it was processed: its place in the order of its key, and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessedRecord {
    /// The record as it came the first time.
    #[serde(flatten)]
    pub record: Record,
    /// Its ordinal among the processed records with its destination and reference: 1, 2, 3 …
    pub sequence: u64,
    /// When it was processed, by the service's clock.
    pub processed_at: Timestamp,
}

/// A stored record, with all that its messages are rebuilt from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The record and its place.
    pub processed: ProcessedRecord,
    /// The summary of the key's earlier records.
    pub previous: Summary,
    /// The rules that the record met, as they were at the commit.
    pub alerts: Vec<Arc<Rule>>,
    /// The W3C trace context that came with the record, handed on with its messages.
    pub traceparent: Option<String>,
}

/// The outcome of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Seen for the first time: stored, summed up and added to the outbox, in one transaction.
    Processed(Arc<StoredRecord>),
    /// Seen before with the same content: no effect, and a success.
    Duplicate {
        /// The record.
        record_id: RecordId,
        /// The sequence it got the first time.
        sequence: u64,
        /// When it was processed the first time.
        processed_at: Timestamp,
    },
    /// Seen before with other content: no effect.
    Conflict {
        /// The record.
        record_id: RecordId,
        /// The fields that differ, in the order of [`Field::ALL`].
        differs: Vec<Field>,
    },
    /// Breaks a rule or a limit: no effect.
    Rejected(Rejection),
}

impl Outcome {
    /// Returns the name of the outcome, as clients see it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Processed(_) => "processed",
            Self::Duplicate { .. } => "duplicate",
            Self::Conflict { .. } => "conflict",
            Self::Rejected(_) => "rejected",
        }
    }

    /// Returns the record's id; `None` for a rejected record without a valid one.
    #[must_use]
    pub fn record_id(&self) -> Option<&RecordId> {
        match self {
            Self::Processed(stored) => Some(&stored.processed.record.record_id),
            Self::Duplicate { record_id, .. } | Self::Conflict { record_id, .. } => Some(record_id),
            Self::Rejected(rejection) => rejection.record_id.as_ref(),
        }
    }

    /// Returns about how many bytes the outcome takes in memory, for bounds on results that wait.
    #[must_use]
    pub fn weight(&self) -> usize {
        let rest = match self {
            Self::Processed(stored) => stored.weight(),
            Self::Duplicate { record_id, .. } => record_id.as_str().len(),
            Self::Conflict { record_id, differs } => record_id.as_str().len() + size_of_val(&differs[..]),
            Self::Rejected(rejection) => rejection.weight(),
        };
        size_of::<Self>() + rest
    }
}

/// How many records had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutcomeCounts {
    /// Processed.
    pub processed: u64,
    /// Duplicates.
    pub duplicates: u64,
    /// Conflicts.
    pub conflicts: u64,
    /// Rejected.
    pub rejected: u64,
}

impl OutcomeCounts {
    /// Counts one outcome.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Processed(_) => self.processed += 1,
            Outcome::Duplicate { .. } => self.duplicates += 1,
            Outcome::Conflict { .. } => self.conflicts += 1,
            Outcome::Rejected(_) => self.rejected += 1,
        }
    }

    /// Adds the counts of other records.
    pub fn add(&mut self, other: Self) {
        self.processed += other.processed;
        self.duplicates += other.duplicates;
        self.conflicts += other.conflicts;
        self.rejected += other.rejected;
    }

    /// Returns how many records there are of all outcomes.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.processed + self.duplicates + self.conflicts + self.rejected
    }

    /// Returns how many records were refused: conflicts and rejected ones.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.conflicts + self.rejected
    }
}

impl StoredRecord {
    /// Returns the record's approximate size in bytes, in memory and in JSON, for bounds on queues and pages. Most of
    /// it is the previous summary.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.processed.record.weight() + self.previous.weight()
    }

    /// Returns the id of the trace that it belongs to, for a log.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }

    /// Returns the names of the rules that the record met.
    #[must_use]
    pub fn alert_names(&self) -> Vec<&str> {
        self.alerts.iter().map(|rule| rule.name()).collect()
    }
}

#[cfg(test)]
mod tests;
