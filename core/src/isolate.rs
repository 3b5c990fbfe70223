//! How one poisonous record is found in a batch that the store refuses, so that its neighbours are committed.
//!
//! A record is blamed only if the store refuses it alone, and refuses it alone again after another commit has stored
//! something in between: what fails for all, such as a full disk, must not blame anyone.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::intake::SubmitError;
use crate::outcome::Outcome;
use crate::plan::Arrival;
use crate::ports::PortErrorKind;
use crate::reject::Rejection;
use crate::text::RecordId;
use crate::writer::{Fate, Writer};

/// How many suspects are remembered: far more than there are poisonous records at a time, and a bound on memory.
const SUSPECTS_MAX: usize = 1_024;

/// Records that were refused alone, with the number of commits there had been by then.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<HashMap<RecordId, u64>>);

impl Suspects {
    /// Notes that a record was refused alone; says whether it is to blame.
    fn refused_alone(&self, id: &RecordId, commits: u64) -> bool {
        let mut suspects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = suspects.get(id) {
            return *before < commits;
        }
        if suspects.len() >= SUSPECTS_MAX {
            suspects.clear();
        }
        suspects.insert(id.clone(), commits);
        false
    }
}

/// Commits a refused batch piece by piece, until the records at fault stand alone.
///
/// The first record is kept back, to be stored between the two trials of the others. Should it be at fault itself, it is
/// blamed when it comes again after anything else was stored; until then it has no outcome.
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
        match self.writer.commit_patiently(&part).await {
            Ok(committed) => {
                for (fate, outcome) in self.fates[piece].iter_mut().zip(committed.outcomes) {
                    *fate = Ok(outcome);
                }
                Ok(())
            }
            Err(kind) => {
                // Corrupt data in the store is nobody's fault who sends a record.
                if piece.len() == 1 && kind != PortErrorKind::Corrupt && kind != PortErrorKind::Unavailable {
                    self.suspect(piece.start);
                }
                Err(kind)
            }
        }
    }

    fn suspect(&mut self, index: usize) {
        let id = &self.arrivals[index].record.record_id;
        if self.writer.suspects.refused_alone(id, self.writer.commits()) {
            let detail = "is refused by storage, which takes other records";
            self.fates[index] = Ok(Outcome::Rejected(Rejection::at(Some(id.clone()), "", detail)));
        }
    }
}

#[cfg(test)]
mod tests;
