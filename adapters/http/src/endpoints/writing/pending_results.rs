//! Buffers the outcomes of a batch until they are sent; those that exceed the memory are read again from the store.
//!
//! A processed record's outcome has the summary before it, which may be a hundred times as large as the record, and a client
//! may read slowly. Callers share the memory budget for outcomes. Outcomes of processed records beyond it are dropped, and read from
//! the store again as they are sent, a few hundred at a time.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use tallyhouse_pipeline::ports::{PortError, PortErrorKind, RecordReader};
use tallyhouse_pipeline::{Outcome, OutcomeCounts, RecordId, StoredRecord};

use crate::bounds::caller::Caller;
use crate::bounds::shared_budget::{Reservation, SharedBudget};

/// Records that are read again at once. Their weight, and that of a page of the store, is about the same at most.
const READ_AGAIN_MAX: usize = 256;

/// Outcomes that wait, in their order, with the memory that they reserve.
#[derive(Debug)]
pub(crate) struct WaitingResults {
    results: Vec<WaitingResult>,
    counts: OutcomeCounts,
    /// The index of the next outcome.
    index: u64,
    failed_only: bool,
    reservation: Reservation,
    weight: usize,
}

/// An outcome that waits, with its index in the batch.
#[derive(Debug)]
struct WaitingResult {
    index: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Whole(Outcome),
    /// The outcome of a processed record, to be read from the store.
    Stored(RecordId),
}

impl WaitingResults {
    /// Returns an empty set of results. Of those of a batch whose failures alone are wanted, the others are counted and dropped.
    pub(crate) fn new(budget: &Arc<SharedBudget>, caller: &Caller, failed_only: bool) -> Self {
        let (results, counts) = (Vec::new(), OutcomeCounts::default());
        Self { results, counts, index: 0, failed_only, reservation: budget.empty_reservation(caller), weight: 0 }
    }

    /// Adds outcomes: those of processed records whole while the budget lasts. All others are in no store, so that they
    /// reserve memory even beyond it; what they reserve, no processed record gets.
    pub(crate) fn add(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            self.counts.count(&outcome);
            let index = self.index;
            self.index += 1;
            let kept = match outcome {
                Outcome::Processed(_) | Outcome::Duplicate { .. } if self.failed_only => continue,
                Outcome::Processed(stored) => self.keep(stored),
                Outcome::Duplicate { .. } | Outcome::Conflict { .. } | Outcome::Rejected(_) => {
                    self.force_grow(outcome.weight());
                    Kept::Whole(outcome)
                }
            };
            self.results.push(WaitingResult { index, kept });
        }
    }

    fn keep(&mut self, stored: Arc<StoredRecord>) -> Kept {
        let weight = stored.weight();
        if self.reservation.try_grow(weight) {
            self.weight += weight;
            return Kept::Whole(Outcome::Processed(stored));
        }
        let id = stored.processed.record.record_id.clone();
        self.force_grow(size_of::<WaitingResult>() + id.as_str().len());
        Kept::Stored(id)
    }

    fn force_grow(&mut self, weight: usize) {
        self.reservation.force_grow(weight);
        self.weight += weight;
    }

    /// Says whether all that are sent are here, and take few bytes: they need not be streamed.
    pub(crate) fn are_small(&self, bytes_max: usize) -> bool {
        self.weight <= bytes_max && self.results.iter().all(|result| matches!(result.kept, Kept::Whole(_)))
    }

    /// Returns the counts of all outcomes.
    pub(crate) fn counts(&self) -> OutcomeCounts {
        self.counts
    }

    /// Turns to sending them.
    pub(crate) fn send(self, reader: Arc<dyn RecordReader>) -> SentResults {
        SentResults {
            waiting: self.results.into_iter().peekable(),
            reader,
            read: VecDeque::new(),
            reservation: self.reservation,
            read_weight: 0,
        }
    }
}

/// Outcomes that are being sent. Their reservation is released when all are.
pub(crate) struct SentResults {
    waiting: Peekable<IntoIter<WaitingResult>>,
    reader: Arc<dyn RecordReader>,
    /// Those that were read again, in front of the others.
    read: VecDeque<(u64, Outcome)>,
    reservation: Reservation,
    /// The bytes reserved for those that were read again last.
    read_weight: usize,
}

impl SentResults {
    /// Says whether all were sent.
    pub(crate) fn are_sent(&mut self) -> bool {
        self.read.is_empty() && self.waiting.peek().is_none()
    }

    /// Returns the next outcome that is sent, with its index; `None` at the end.
    ///
    /// # Errors
    /// It can't be read again.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Outcome)>, PortError> {
        if let Some(next) = self.read.pop_front() {
            return Ok(Some(next));
        }
        self.reservation.release(std::mem::take(&mut self.read_weight));
        let Some(WaitingResult { index, kept }) = self.waiting.next() else { return Ok(None) };
        match kept {
            Kept::Whole(outcome) => Ok(Some((index, outcome))),
            Kept::Stored(id) => {
                self.read_again(index, id).await?;
                Ok(self.read.pop_front())
            }
        }
    }

    /// Reads this result again, and those behind it that were dropped as well. A stored record never changes.
    async fn read_again(&mut self, index: u64, id: RecordId) -> Result<(), PortError> {
        let (mut indexes, mut ids) = (vec![index], vec![id]);
        while ids.len() < READ_AGAIN_MAX
            && let Some(next) = self.waiting.next_if(|next| matches!(next.kept, Kept::Stored(_)))
        {
            if let Kept::Stored(id) = next.kept {
                indexes.push(next.index);
                ids.push(id);
            }
        }
        let found = self.reader.find_all(&ids).await?;
        for ((index, id), stored) in indexes.into_iter().zip(ids).zip(found) {
            let lost = || PortError::new(PortErrorKind::Corrupt, "reading a result", format!("{id:?} is not stored"));
            let stored = Arc::new(stored.ok_or_else(lost)?);
            self.read_weight += stored.weight();
            self.read.push_back((index, Outcome::Processed(stored)));
        }
        self.reservation.force_grow(self.read_weight);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
