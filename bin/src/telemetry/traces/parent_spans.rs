//! Finds the parent of a span: the innermost open span of each trace context. A commit is the child of its records'
//! request, a publication the child of the commit; only the `traceparent` of the records links them.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::SpanContext;

/// Contexts per generation; two generations are remembered. There are never so many between a commit and its
/// publication.
const GENERATION: usize = 4_096;

/// The latest spans by the `traceparent` of their records. Without an entry the caller's own span is the parent.
#[derive(Debug, Default)]
pub(super) struct ParentSpans(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    current: HashMap<String, Entry>,
    previous: HashMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// `None` where several spans share the context: the parent would be a guess.
    span: Option<SpanContext>,
    holders: usize,
}

impl ParentSpans {
    /// Remembers the span of the records with this context.
    pub(super) fn insert(&self, traceparent: &str, span: &SpanContext) {
        let mut generations = self.lock();
        if let Some(entry) = generations.get_mut(traceparent) {
            entry.span = None;
            entry.holders += 1;
            return;
        }
        if generations.current.len() >= GENERATION {
            generations.previous = mem::take(&mut generations.current);
        }
        generations.current.insert(traceparent.to_owned(), Entry { span: Some(span.clone()), holders: 1 });
    }

    /// Returns the span of the context, if it is the only one.
    pub(super) fn of(&self, traceparent: &str) -> Option<SpanContext> {
        self.lock().get_mut(traceparent)?.span.clone()
    }

    /// Removes one span of the context. A context of several spans is removed with the last of them.
    pub(super) fn remove(&self, traceparent: &str) {
        let mut generations = self.lock();
        let Some(entry) = generations.get_mut(traceparent) else { return };
        entry.holders -= 1;
        if entry.holders == 0 {
            generations.current.remove(traceparent);
            generations.previous.remove(traceparent);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every change is one insertion or removal: a panic leaves no half-made state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get_mut(&mut self, traceparent: &str) -> Option<&mut Entry> {
        self.current.get_mut(traceparent).or_else(|| self.previous.get_mut(traceparent))
    }
}

#[cfg(test)]
mod tests;
