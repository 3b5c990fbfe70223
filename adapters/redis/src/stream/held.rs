//! Which entries are under way here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tallyhouse_core::ports::Delivery;

use crate::entry::Entry;

/// The ids and payloads of the entries that were delivered and not settled yet.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<String, Option<Vec<u8>>>>);

impl Held {
    /// Notes entries, and returns those that were not under way before.
    pub(super) fn take(&self, entries: Vec<Entry>) -> Vec<Delivery> {
        let mut held = self.lock();
        let mut deliveries = Vec::with_capacity(entries.len());
        for mut entry in entries {
            if held.contains_key(&entry.id) {
                continue;
            }
            let payload = entry.take("record");
            let traceparent = entry.take("traceparent").and_then(|bytes| String::from_utf8(bytes).ok());
            held.insert(entry.id.clone(), payload.clone());
            deliveries.push(Delivery {
                tag: entry.id,
                payload,
                traceparent: traceparent.filter(|t| is_traceparent(t)),
            });
        }
        deliveries
    }

    /// Forgets an entry, and returns what it holds if it was under way.
    pub(super) fn release(&self, id: &str) -> Option<Option<Vec<u8>>> {
        self.lock().remove(id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a text is a `traceparent` as W3C Trace Context, section 3.2.2, has it: anything else is not handed on.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    match parts.as_slice() {
        [version, trace, parent, flags] => {
            (version.len(), trace.len(), parent.len(), flags.len()) == (2, 32, 16, 2)
                && parts.iter().all(|part| is_hex(part))
                && *version != "ff"
                && !is_zero(trace)
                && !is_zero(parent)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
