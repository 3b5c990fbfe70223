//! Builds valid sample records as JSON.

use serde_json::{Value, json};

/// Returns a good record with this id: 11 minutes for `IAH`, reference `EWR`.
#[must_use]
pub fn record(id: &str) -> Value {
    json!({"recordId": id, "time": "2013-01-01T10:00:00Z", "sourceId": "UA", "destinationId": "IAH",
           "type": "positive", "value": "11", "unit": "minute", "reference": "EWR"})
}

/// Returns [`record`] with some members put in the place of its own.
///
/// # Panics
/// `members` is not an object.
#[must_use]
pub fn record_with(id: &str, members: Value) -> Value {
    let mut record = record(id);
    let Value::Object(members) = members else { panic!("members come as an object") };
    record.as_object_mut().expect("a record is an object").extend(members);
    record
}

/// Returns `n` good records over a few destinations, references, units and times, with ids that begin with `prefix`.
#[must_use]
pub fn many(prefix: &str, n: usize) -> Vec<Value> {
    (0..n).map(|i| nth(prefix, i)).collect()
}

/// Returns the i-th of [`many`].
#[must_use]
pub fn nth(prefix: &str, i: usize) -> Value {
    let sign = if i.is_multiple_of(3) { "negative" } else { "positive" };
    json!({"recordId": format!("{prefix}-{i:06}"), "time": format!("2013-01-{:02}T{:02}:{:02}:00Z", 1 + i % 28, i % 24, i % 60),
           "sourceId": format!("S{}", i % 5), "destinationId": format!("D{}", i % 7), "type": sign,
           "value": format!("{}.{:02}", i % 1000, i % 100), "unit": (["EUR", "minute"][i % 2]),
           "reference": (["", "R1", "R2"][i % 3])})
}

/// Writes records as NDJSON.
#[must_use]
pub fn ndjson(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}
