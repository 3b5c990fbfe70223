//! Which of our own spans a trace context has come to: a commit is the child of the request that brought its records,
//! and a publication that of the commit, though all that they share is the `traceparent` of the records.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::SpanContext;

/// How many contexts are remembered twice over: more than are ever on their way between a commit and its publication.
const GENERATION: usize = 4_096;

/// The spans by the `traceparent` of their records, the latest of them: older ones are forgotten, and then the caller's
/// own span is the parent.
#[derive(Debug, Default)]
pub(super) struct Innermost(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<String, Entry>,
    old: HashMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// None where several spans have the same context: none of them is the parent for sure.
    span: Option<SpanContext>,
    holders: usize,
}

impl Innermost {
    /// Notes the span that records with this context are in.
    pub(super) fn note(&self, traceparent: &str, span: &SpanContext) {
        let mut generations = self.lock();
        if let Some(entry) = generations.get_mut(traceparent) {
            entry.span = None;
            entry.holders += 1;
            return;
        }
        if generations.young.len() >= GENERATION {
            generations.old = mem::take(&mut generations.young);
        }
        generations.young.insert(traceparent.to_owned(), Entry { span: Some(span.clone()), holders: 1 });
    }

    /// Returns that span, if it is known for sure.
    pub(super) fn of(&self, traceparent: &str) -> Option<SpanContext> {
        self.lock().get_mut(traceparent)?.span.clone()
    }

    /// Forgets it; where there were several, when the last of them is forgotten.
    pub(super) fn forget(&self, traceparent: &str) {
        let mut generations = self.lock();
        let Some(entry) = generations.get_mut(traceparent) else { return };
        entry.holders -= 1;
        if entry.holders == 0 {
            generations.young.remove(traceparent);
            generations.old.remove(traceparent);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get_mut(&mut self, traceparent: &str) -> Option<&mut Entry> {
        self.young.get_mut(traceparent).or_else(|| self.old.get_mut(traceparent))
    }
}

#[cfg(test)]
mod tests;
