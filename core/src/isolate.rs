//! How one poisonous record is found in a batch that the store refuses, so that its neighbours are committed.
//!
//! A record is blamed only if the store refuses it alone, and refuses it alone again after another commit has stored
//! something in between: what fails for all, such as a full disk, must not blame anyone. "In between" is strict: that
//! commit began after the first refusal was known, and was known to be done before the second try began. Otherwise an
//! answer that comes late would count for a time that it says nothing of.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::intake::SubmitError;
use crate::outcome::Outcome;
use crate::plan::Arrival;
use crate::ports::PortErrorKind;
use crate::reject::Rejection;
use crate::text::RecordId;
use crate::turn::Turns;
use crate::writer::{Fate, GivenUp, Writer};

/// How many suspects are remembered: far more than there are poisonous records at a time, and a bound on memory.
const SUSPECTS_MAX: usize = 1_024;

/// One try to commit something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Try {
    number: u64,
    /// The latest try that was known to have stored something when this one began; 0 for none.
    stored_before: u64,
}

/// Records that were refused alone, and what the tries to commit have come to since.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<Tries>);

#[derive(Debug, Default)]
struct Tries {
    begun: u64,
    /// The latest that has stored something.
    stored: u64,
    /// Each suspect, with how many tries had begun when its refusal was known.
    suspects: HashMap<RecordId, u64>,
}

impl Suspects {
    fn tries(&self) -> MutexGuard<'_, Tries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something is tried.
    pub(crate) fn begin(&self) -> Try {
        let mut tries = self.tries();
        tries.begun += 1;
        Try { number: tries.begun, stored_before: tries.stored }
    }

    /// Notes that a try has stored something.
    pub(crate) fn stored(&self, done: Try) {
        let mut tries = self.tries();
        tries.stored = tries.stored.max(done.number);
    }

    /// Notes that a record was refused alone; says whether it is to blame.
    fn refused_alone(&self, id: &RecordId, refused: Try) -> bool {
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
pub(crate) async fn isolate(writer: &Writer, arrivals: &Arc<[Arrival]>) -> Vec<Fate> {
    let mut search = Search { writer, arrivals, fates: vec![Err(SubmitError::Unavailable); arrivals.len()] };
    let Ok(suspects) = search.narrow_down(1..arrivals.len()).await else { return search.fates };
    for index in std::iter::once(0).chain(suspects) {
        if search.commit(index..index + 1).await == Err(PortErrorKind::Unavailable) {
            break;
        }
    }
    search.fates
}

struct Search<'a> {
    writer: &'a Writer,
    arrivals: &'a Arc<[Arrival]>,
    fates: Vec<Fate>,
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
        if piece.is_empty() || self.fates[piece.start].is_ok() {
            return Ok(());
        }
        let part: Arc<[Arrival]> = self.arrivals[piece.clone()].into();
        match self.writer.commit_patiently(&part, &Turns::default()).await {
            Ok(committed) => {
                for (fate, outcome) in self.fates[piece].iter_mut().zip(committed.outcomes) {
                    *fate = Ok(outcome);
                }
                Ok(())
            }
            Err(GivenUp { kind, last }) => {
                // Corrupt data in the store is nobody's fault who sends a record.
                if piece.len() == 1 && matches!(kind, PortErrorKind::Refused | PortErrorKind::Misuse) {
                    self.suspect(piece.start, last);
                }
                Err(kind)
            }
        }
    }

    fn suspect(&mut self, index: usize, refused: Try) {
        let id = &self.arrivals[index].record.record_id;
        if self.writer.suspects.refused_alone(id, refused) {
            let detail = "is refused by storage, which takes other records";
            self.fates[index] = Ok(Outcome::Rejected(Rejection::at(Some(id.clone()), "", detail)));
        }
    }
}

#[cfg(test)]
mod tests;
