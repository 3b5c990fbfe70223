//! Finds records that the store refuses, by bisection of their batch, and rejects them once that is proved.
//!
//! A record is rejected only if the store refuses it alone twice, and another commit stores something in between. A
//! failure that affects every commit, such as a full disk, therefore rejects nothing. "In between" is strict: the other
//! commit begins after the first refusal is known, and is known to be done before the second attempt begins. A late
//! answer would otherwise prove nothing about the time between the two refusals.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tallyhouse_core::ports::PortErrorKind;
use tallyhouse_core::{Arrival, Outcome, RecordId, Rejection};

use crate::commit::order::BatchOrder;
use crate::commit::writer::{CommitFailure, Writer};
use crate::submit_error::{RecordResult, SubmitError};

/// The most records that are tracked: far more than there are poisonous records at a time, and a bound on memory.
const TRACKED_MAX: usize = 1_024;

/// One attempt to commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    number: u64,
    /// The latest attempt that was known to have stored something when this one began; 0 for none.
    stored_before: u64,
}

/// Tracks records that were refused alone, and the attempts to commit since then.
#[derive(Debug, Default)]
pub(crate) struct PoisonTracker(Mutex<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    begun: u64,
    /// The latest attempt that has stored something.
    stored: u64,
    /// Each tracked record, with the number of attempts that had begun when its refusal was known.
    refused: HashMap<RecordId, u64>,
}

impl PoisonTracker {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt.
    pub(crate) fn begin(&self) -> Attempt {
        let mut attempts = self.attempts();
        attempts.begun += 1;
        Attempt { number: attempts.begun, stored_before: attempts.stored }
    }

    /// Notes that an attempt has stored something.
    pub(crate) fn stored(&self, done: Attempt) {
        let mut attempts = self.attempts();
        attempts.stored = attempts.stored.max(done.number);
    }

    /// Notes that a record was refused alone; returns whether it is poisonous.
    fn refused_alone(&self, id: &RecordId, refused: Attempt) -> bool {
        let mut attempts = self.attempts();
        if let Some(before) = attempts.refused.get(id) {
            return *before < refused.stored_before;
        }
        if attempts.refused.len() >= TRACKED_MAX {
            attempts.refused.clear();
        }
        let begun = attempts.begun;
        attempts.refused.insert(id.clone(), begun);
        false
    }
}

/// Commits a refused batch piece by piece, until every refused record is alone.
///
/// The first record is committed between the two attempts at each of the others. If it is poisonous itself, it has no
/// outcome this time; it is rejected when it is submitted again after another commit has stored something.
pub(crate) async fn bisect(writer: &Writer, arrivals: &Arc<[Arrival]>) -> Vec<RecordResult> {
    let mut search = Search { writer, arrivals, results: vec![Err(SubmitError::Unavailable(None)); arrivals.len()] };
    let Ok(refused) = search.narrow_down(1..arrivals.len()).await else { return search.results };
    for index in std::iter::once(0).chain(refused) {
        if search.commit(index..index + 1).await == Err(PortErrorKind::Unavailable) {
            break;
        }
    }
    search.results
}

struct Search<'a> {
    writer: &'a Writer,
    arrivals: &'a Arc<[Arrival]>,
    results: Vec<RecordResult>,
}

impl Search<'_> {
    /// Halves a piece until every part is committed or a single record, and returns the records that were refused alone.
    async fn narrow_down(&mut self, piece: Range<usize>) -> Result<Vec<usize>, PortErrorKind> {
        let (mut pieces, mut refused) = (vec![piece], Vec::new());
        while let Some(piece) = pieces.pop() {
            match self.commit(piece.clone()).await {
                Ok(()) => {}
                Err(PortErrorKind::Unavailable) => return Err(PortErrorKind::Unavailable),
                Err(_) if piece.len() == 1 => refused.push(piece.start),
                Err(_) => {
                    let middle = piece.start + piece.len() / 2;
                    pieces.push(middle..piece.end);
                    pieces.push(piece.start..middle);
                }
            }
        }
        Ok(refused)
    }

    async fn commit(&mut self, piece: Range<usize>) -> Result<(), PortErrorKind> {
        if piece.is_empty() || self.results[piece.start].is_ok() {
            return Ok(());
        }
        let part: Arc<[Arrival]> = self.arrivals[piece.clone()].into();
        match self.writer.commit_with_retry(&part, &BatchOrder::default()).await {
            Ok(committed) => {
                // A commit without an order is never `None`.
                let outcomes = committed.into_iter().flat_map(|committed| committed.outcomes);
                for (result, outcome) in self.results[piece].iter_mut().zip(outcomes) {
                    *result = Ok(outcome);
                }
                Ok(())
            }
            Err(CommitFailure { error, last_attempt }) => {
                let kind = error.kind();
                self.results[piece.clone()].fill(Err(SubmitError::Unavailable(Some(error))));
                // Corrupt data in the store is not the record's fault.
                if piece.len() == 1 && matches!(kind, PortErrorKind::Refused | PortErrorKind::Misuse) {
                    self.suspect(piece.start, last_attempt);
                }
                Err(kind)
            }
        }
    }

    fn suspect(&mut self, index: usize, refused: Attempt) {
        let id = &self.arrivals[index].record.record_id;
        if self.writer.poison.refused_alone(id, refused) {
            let detail = "is refused by storage, which takes other records";
            self.results[index] = Ok(Outcome::Rejected(Rejection::at(Some(id.clone()), "", detail)));
        }
    }
}

#[cfg(test)]
mod tests;
