//! A part of a batch that is submitted together: its valid records, and its refused ones with their places.

use tallyhouse_pipeline::{Arrival, Outcome, Record, Rejection};

/// Records of a batch, in order.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The valid records.
    pub(crate) arrivals: Vec<Arrival>,
    /// The refused records.
    pub(crate) refused: Refused,
}

/// The refused records of a chunk, each with its place among all.
#[derive(Debug, Default)]
pub(crate) struct Refused(Vec<(usize, Rejection)>);

impl Chunk {
    pub(crate) fn push(&mut self, record: Result<Record, Rejection>, traceparent: Option<String>) {
        match record {
            Ok(record) => self.arrivals.push(Arrival { record, traceparent }),
            Err(rejection) => self.refused.0.push((self.len(), rejection)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.arrivals.len() + self.refused.0.len()
    }
}

impl Refused {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Puts the refused records back in their places among the outcomes of the valid ones.
    pub(crate) fn rejoin(self, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        if self.0.is_empty() {
            return outcomes;
        }
        let mut all = Vec::with_capacity(outcomes.len() + self.0.len());
        let mut outcomes = outcomes.into_iter();
        for (place, rejection) in self.0 {
            all.extend(outcomes.by_ref().take(place - all.len()));
            all.push(Outcome::Rejected(rejection));
        }
        all.extend(outcomes);
        all
    }
}

#[cfg(test)]
mod tests;
