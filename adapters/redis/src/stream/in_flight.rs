//! The entries that were delivered and not acknowledged yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tallyhouse_core::ports::Delivery;
use tallyhouse_core::{Rejection, is_traceparent};

use crate::entry::Entry;
use crate::oversize::{KEPT_BYTES, Oversize};

/// Their ids, with the payload that a dead letter would keep.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<String, Vec<u8>>>);

impl InFlight {
    /// Adds entries, and returns those that were not in flight before.
    pub(super) fn add(&self, entries: Vec<Entry>) -> Vec<Delivery> {
        let mut in_flight = self.lock();
        let mut deliveries = Vec::with_capacity(entries.len());
        for mut entry in entries {
            if in_flight.contains_key(&entry.id) {
                continue;
            }
            let traceparent = entry.take("traceparent").and_then(|bytes| String::from_utf8(bytes).ok());
            let (payload, kept) = payload(&mut entry);
            in_flight.insert(entry.id.clone(), kept);
            deliveries.push(Delivery {
                tag: entry.id,
                payload,
                traceparent: traceparent.filter(|text| is_traceparent(text)),
            });
        }
        deliveries
    }

    /// Removes an entry and returns its payload; `None` if it is not in flight.
    pub(super) fn remove(&self, id: &str) -> Option<Vec<u8>> {
        self.lock().remove(id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the payload of an entry, or why it has none that can be delivered; and the payload that a dead letter keeps.
/// An entry without a record, or with several, is kept with all its fields.
fn payload(entry: &mut Entry) -> (Result<Vec<u8>, Rejection>, Vec<u8>) {
    let records = entry.count("record");
    let oversize = entry.oversize().cloned().map(|(bytes, sha1)| Oversize { bytes, sha1 });
    let record = if records == 1 { entry.take("record") } else { None };
    match (record, oversize) {
        (Some(record), None) => (Ok(record.clone()), record),
        (Some(record), Some(oversize)) => (Err(oversize.rejection(format_args!("the first {KEPT_BYTES}"))), record),
        (None, Some(oversize)) => (Err(oversize.rejection("the first fields")), entry.fields_as_json()),
        (None, None) if records == 0 => (Err(Rejection::not_json("has no field \"record\"")), entry.fields_as_json()),
        (None, None) => (Err(Rejection::at(None, "", "has more than one field \"record\"")), entry.fields_as_json()),
    }
}
