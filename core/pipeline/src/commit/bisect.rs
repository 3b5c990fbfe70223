//! How one poisonous record is found in a batch that the store refuses, so that its neighbours are committed.
//!
//! A record is blamed only if the store refuses it alone, and refuses it alone again after another commit has stored
//! something in between: what fails for all, such as a full disk, must not blame anyone. "In between" is strict: that
//! commit began after the first refusal was known, and was known to be done before the second try began. Otherwise an
//! answer that comes late would count for a time that it says nothing of.

use crate::commit::order::BatchOrder;
use crate::commit::writer::{CommitFailure, Writer};
use crate::submit_error::{RecordResult, SubmitError};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallyhouse_core::ports::PortErrorKind;
use tallyhouse_core::{Arrival, Outcome, RecordId, Rejection};

/// How many suspects are remembered: far more than there are poisonous records at a time, and a bound on memory.
const SUSPECTS_MAX: usize = 1_024;

/// One try to commit something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    number: u64,
    /// The latest try that was known to have stored something when this one began; 0 for none.
    stored_before: u64,
}

/// Records that were refused alone, and what the tries to commit have come to since.
#[derive(Debug, Default)]
pub(crate) struct PoisonTracker(Mutex<Tries>);

#[derive(Debug, Default)]
struct Tries {
    begun: u64,
    /// The latest that has stored something.
    stored: u64,
    /// Each suspect, with how many tries had begun when its refusal was known.
    suspects: HashMap<RecordId, u64>,
}

impl PoisonTracker {
    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something is tried.
    pub(crate) fn begin(&self) -> Attempt {
        let mut tries = self.tries();
        tries.begun += 1;
        Attempt { number: tries.begun, stored_before: tries.stored }
    }

    /// Notes that a try has stored something.
    pub(crate) fn stored(&self, done: Attempt) {
        let mut tries = self.tries();
        tries.stored = tries.stored.max(done.number);
    }

    /// Notes that a record was refused alone; says whether it is to blame.
    fn refused_alone(&self, id: &RecordId, refused: Attempt) -> bool {
        let mut tries = self.tries();
        if let Some(before) = tries.suspects.get(id) {
            return *before < refused.stored_before;
        }
        if tries.suspects.len() >= SUSPECTS_MAX {
            tries.suspects.clear();
        }
        let begun = tries.begun;
        tries.suspects.insert(id.clone(), begun);
        false
    }
}

/// Commits a refused batch piece by piece, until the records at fault stand alone.
///
/// The first record is kept back, to be stored between the two trials of the others. Should it be at fault itself, it
/// is blamed when it comes again after anything else was stored; until then it has no outcome.
pub(crate) async fn bisect(writer: &Writer, arrivals: &Arc<[Arrival]>) -> Vec<RecordResult> {
    let mut search = Search { writer, arrivals, results: vec![Err(SubmitError::Unavailable(None)); arrivals.len()] };
    let Ok(suspects) = search.narrow_down(1..arrivals.len()).await else { return search.results };
    for index in std::iter::once(0).chain(suspects) {
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
    /// Commits what can be committed of a piece by halving it, and returns the records that were refused alone.
    async fn narrow_down(&mut self, piece: Range<usize>) -> Result<Vec<usize>, PortErrorKind> {
        let (mut pieces, mut suspects) = (vec![piece], Vec::new());
        while let Some(piece) = pieces.pop() {
            match self.commit(piece.clone()).await {
                Ok(()) => {}
                Err(PortErrorKind::Unavailable) => return Err(PortErrorKind::Unavailable),
                Err(_) if piece.len() == 1 => suspects.push(piece.start),
                Err(_) => {
                    let middle = piece.start + piece.len() / 2;
                    pieces.push(middle..piece.end);
                    pieces.push(piece.start..middle);
                }
            }
        }
        Ok(suspects)
    }

    async fn commit(&mut self, piece: Range<usize>) -> Result<(), PortErrorKind> {
        if piece.is_empty() || self.results[piece.start].is_ok() {
            return Ok(());
        }
        let part: Arc<[Arrival]> = self.arrivals[piece.clone()].into();
        match self.writer.commit_with_retry(&part, &BatchOrder::default()).await {
            Ok(committed) => {
                // Without an order, a commit never waits for a predecessor.
                let outcomes = committed.into_iter().flat_map(|committed| committed.outcomes);
                for (result, outcome) in self.results[piece].iter_mut().zip(outcomes) {
                    *result = Ok(outcome);
                }
                Ok(())
            }
            Err(CommitFailure { error, last_attempt }) => {
                let kind = error.kind();
                self.results[piece.clone()].fill(Err(SubmitError::Unavailable(Some(error))));
                // Corrupt data in the store is nobody's fault who sends a record.
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
