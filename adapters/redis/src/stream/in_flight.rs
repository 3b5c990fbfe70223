//! Which entries are under way here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tallyhouse_core::is_traceparent;
use tallyhouse_core::ports::Delivery;

use crate::entry::Entry;

/// The ids and payloads of the entries that were delivered and not settled yet.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<String, Vec<u8>>>);

impl InFlight {
    /// Notes entries, and returns those that were not under way before.
    pub(super) fn take(&self, entries: Vec<Entry>) -> Vec<Delivery> {
        let mut in_flight = self.lock();
        let mut deliveries = Vec::with_capacity(entries.len());
        for mut entry in entries {
            if in_flight.contains_key(&entry.id) {
                continue;
            }
            let payload = entry.take("record");
            let traceparent = entry.take("traceparent").and_then(|bytes| String::from_utf8(bytes).ok());
            // What has no record is nothing to be processed, but a dead letter keeps all of it.
            in_flight.insert(entry.id.clone(), payload.clone().unwrap_or_else(|| entry.fields_as_json()));
            deliveries.push(Delivery {
                tag: entry.id,
                payload,
                traceparent: traceparent.filter(|text| is_traceparent(text)),
            });
        }
        deliveries
    }

    /// Forgets an entry, and returns what it holds if it was under way.
    pub(super) fn release(&self, id: &str) -> Option<Vec<u8>> {
        self.lock().remove(id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
