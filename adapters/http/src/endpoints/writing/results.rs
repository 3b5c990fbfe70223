//! Outcomes of a batch that wait to be sent.
//!
//! A processed record's outcome holds the previous summary, which may be a hundred times as large as the record, and a
//! client may read slowly. So outcomes beyond the memory budget are dropped, and read from the store again as they are
//! sent.

use std::sync::Arc;

use tallyhouse_pipeline::ports::{PortError, PortErrorKind, RecordReader};
use tallyhouse_pipeline::{Outcome, OutcomeCounts, RecordId};
use tokio::sync::OwnedSemaphorePermit;

use crate::bounds::result_room::ResultRoom;

/// Waiting outcomes in their order, with the room that they take.
#[derive(Debug, Default)]
pub(crate) struct WaitingResults {
    results: Vec<WaitingResult>,
    room: Vec<OwnedSemaphorePermit>,
    weight: usize,
}

/// A waiting outcome.
#[derive(Debug)]
pub(crate) enum WaitingResult {
    Whole(Outcome),
    /// The outcome of a processed record, to be read from the store.
    Stored(RecordId),
}

impl WaitingResults {
    /// Adds outcomes, whole if there is room for them. Outcomes of processed records are not `wanted` if only failures
    /// are sent.
    pub(crate) fn add(&mut self, outcomes: Vec<Outcome>, room: &ResultRoom, wanted: bool) {
        let weight = outcomes.iter().map(weight).sum();
        let taken = if wanted { room.take(weight) } else { None };
        let is_kept = taken.is_some();
        self.weight += if is_kept { weight } else { 0 };
        self.room.extend(taken);
        self.results.extend(outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Processed(stored) if !is_kept => WaitingResult::Stored(stored.processed.record.record_id.clone()),
            outcome => WaitingResult::Whole(outcome),
        }));
    }

    /// Says whether everything to send is in memory and small, so that it need not be streamed.
    pub(crate) fn are_small(&self, bytes_max: usize, failed_only: bool) -> bool {
        let is_here = |result: &WaitingResult| failed_only || matches!(result, WaitingResult::Whole(_));
        self.weight <= bytes_max && self.results.iter().all(is_here)
    }

    /// Counts the outcomes.
    pub(crate) fn counts(&self) -> OutcomeCounts {
        let mut counts = OutcomeCounts::default();
        self.results.iter().for_each(|result| result.count(&mut counts));
        counts
    }

    /// Takes the outcomes out, with their room. The caller releases the room when all are sent.
    pub(crate) fn take(self) -> (Vec<WaitingResult>, Vec<OwnedSemaphorePermit>) {
        (self.results, self.room)
    }
}

impl WaitingResult {
    pub(crate) fn count(&self, counts: &mut OutcomeCounts) {
        match self {
            Self::Whole(outcome) => counts.count(outcome),
            Self::Stored(_) => counts.processed += 1,
        }
    }

    /// Says whether the record was refused.
    pub(crate) fn is_failed(&self) -> bool {
        match self {
            Self::Whole(Outcome::Conflict { .. } | Outcome::Rejected(_)) => true,
            Self::Whole(Outcome::Processed(_) | Outcome::Duplicate { .. }) | Self::Stored(_) => false,
        }
    }

    /// Returns the outcome, read from the store if it was dropped. A stored record never changes, so it is the same.
    pub(crate) async fn outcome(self, reader: &dyn RecordReader) -> Result<Outcome, PortError> {
        let id = match self {
            Self::Whole(outcome) => return Ok(outcome),
            Self::Stored(id) => id,
        };
        let lost = || PortError::new(PortErrorKind::Corrupt, "reading a result", format!("{id:?} is not stored"));
        reader.find(&id).await?.map(|stored| Outcome::Processed(Arc::new(stored))).ok_or_else(lost)
    }
}

/// Only processed records have large outcomes.
fn weight(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Processed(stored) => stored.weight(),
        Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => 0,
    }
}
