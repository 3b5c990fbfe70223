//! CloudEvents 1.0 as requests: the event's `data` is the record, and its own `id` plays no part in the record's
//! identity. An event may be the body (structured mode), one of an array (batched mode), or headers beside the record
//! (binary mode).

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderMap;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tallyhouse_pipeline::{ArrayError, FieldError, Record, Rejection, RejectionCode, is_traceparent, json_text};

use crate::keys::write_prefixes::WritePrefixes;

/// The version of CloudEvents that is read.
const VERSION: &str = "1.0";

/// The required attributes of an event.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The prefix of headers that are attributes, in binary mode (CloudEvents 1.0, HTTP protocol binding, section 3.1.3).
const HEADER_PREFIX: &str = "ce-";

/// The extension attribute of distributed tracing, in binary mode.
const TRACEPARENT: &str = "ce-traceparent";

/// The pointer to the record in an event that holds it as JSON.
const DATA: &str = "/data";

const REPEATED: &str = "must not be given more than once";

/// A record with the trace context of its event.
pub(crate) struct EventRecord {
    pub(crate) record: Result<Record, Rejection>,
    pub(crate) traceparent: Option<String>,
    /// The pointer to the record in the event; empty where pointers into the record are given.
    pub(crate) pointer_prefix: &'static str,
}

impl EventRecord {
    /// Takes a record that is no event.
    pub(crate) fn plain(record: Result<Record, Rejection>) -> Self {
        Self { record, traceparent: None, pointer_prefix: "" }
    }

    /// Refuses a record that the caller's key may not write.
    pub(crate) fn bound(self, prefixes: &WritePrefixes) -> Result<Record, Rejection> {
        prefixes.admit(self.record?).map_err(|rejection| with_pointer_prefix(self.pointer_prefix, rejection))
    }
}

/// The members of an event in JSON, each given once.
struct Event<'a>(HashMap<String, &'a RawValue>);

/// An attribute as it was given.
enum Attribute {
    Missing,
    /// Given more than once.
    Repeated,
    /// Of another type than a string.
    NotText,
    Text(String),
}

/// Reads an event in structured mode.
pub(crate) fn read(json: &[u8]) -> EventRecord {
    let not_an_event = || Rejection::at(None, "", "must be a CloudEvent: an object, with no member given twice");
    let event = json_text(json).and_then(|text| serde_json::from_str::<Event<'_>>(text).map_err(|_| not_an_event()));
    match event {
        Ok(event) => {
            let traceparent = event.0.get("traceparent").and_then(|json| trace_of(json));
            let pointer_prefix = if event.0.contains_key("data") { DATA } else { "" };
            EventRecord { record: record_of(&event), traceparent, pointer_prefix }
        }
        Err(rejection) => EventRecord::plain(Err(rejection)),
    }
}

/// Reads an array of at most so many events.
pub(crate) fn read_array(json: &[u8], events_max: usize) -> Result<Vec<EventRecord>, ArrayError> {
    let text = json_text(json).map_err(ArrayError::NotJson)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let events = deserializer.deserialize_seq(Events { max: events_max }).map_err(|_| ArrayError::NotAnArray)?;
    let events = events.ok_or(ArrayError::TooMany)?;
    Ok(events.into_iter().map(|event| read(event.get().as_bytes())).collect())
}

/// Reads a record in binary mode.
pub(crate) fn read_binary(headers: &HeaderMap, json: &[u8]) -> EventRecord {
    let mut faults = faults(|member| of_headers(headers, &format!("{HEADER_PREFIX}{member}")));
    let others = attributes(headers).filter(|name| !REQUIRED.contains(name));
    let mut repeated: Vec<&str> =
        others.filter(|name| headers.get_all(format!("{HEADER_PREFIX}{name}")).iter().count() > 1).collect();
    repeated.sort_unstable();
    faults.extend(repeated.into_iter().map(|name| fault(name, REPEATED)));
    let traceparent = match of_headers(headers, TRACEPARENT) {
        Attribute::Text(value) => Some(value).filter(|value| is_traceparent(value)),
        Attribute::Missing | Attribute::Repeated | Attribute::NotText => None,
    };
    EventRecord { record: joined(faults, Record::from_json(json)), traceparent, pointer_prefix: "" }
}

/// Says whether a request is an event in binary mode: it has at least one attribute.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    attributes(headers).next().is_some()
}

/// Returns the names of the attributes in headers.
fn attributes(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.keys().filter_map(|name| name.as_str().strip_prefix(HEADER_PREFIX))
}

fn of_headers(headers: &HeaderMap, header: &str) -> Attribute {
    let mut values = headers.get_all(header).iter();
    match (values.next(), values.next()) {
        (None, _) => Attribute::Missing,
        (Some(_), Some(_)) => Attribute::Repeated,
        (Some(value), None) => value.to_str().map_or(Attribute::NotText, |text| Attribute::Text(text.to_owned())),
    }
}

fn record_of(event: &Event<'_>) -> Result<Record, Rejection> {
    let member = |name: &str| event.0.get(name).copied().filter(|json| json.get() != "null");
    let faults = faults(|name| match member(name) {
        None => Attribute::Missing,
        Some(json) => text_of(json).map_or(Attribute::NotText, Attribute::Text),
    });
    joined(faults, data_of(event.0.get("data").copied(), member("data_base64")))
}

fn data_of(data: Option<&RawValue>, data_base64: Option<&RawValue>) -> Result<Record, Rejection> {
    match (data, data_base64) {
        (Some(data), None) => {
            Record::from_json(data.get().as_bytes()).map_err(|rejection| with_pointer_prefix(DATA, rejection))
        }
        (None, Some(packed)) => {
            let bytes = text_of(packed).and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| Rejection::at(None, "/data_base64", "must be a string in Base64"))?;
            Record::from_json(&bytes)
        }
        (None, None) => Err(Rejection::at(None, "/data", "is missing: the record of the CloudEvent")),
        (Some(_), Some(_)) => Err(Rejection::at(None, "/data_base64", "must not be there beside data")),
    }
}

/// Joins the faults of the event's attributes with those of its record. A record that is no JSON is refused for that
/// fault alone.
fn joined(faults: Vec<FieldError>, record: Result<Record, Rejection>) -> Result<Record, Rejection> {
    match record {
        Ok(record) if faults.is_empty() => Ok(record),
        Ok(record) => {
            Err(Rejection { record_id: Some(record.record_id), code: RejectionCode::Rejected, errors: faults })
        }
        Err(mut rejection) => {
            if rejection.code == RejectionCode::Rejected {
                rejection.errors.splice(0..0, faults);
            }
            Err(rejection)
        }
    }
}

/// Puts a prefix before the pointers of a rejection: the place of the record in its event.
pub(crate) fn with_pointer_prefix(pointer_prefix: &str, mut rejection: Rejection) -> Rejection {
    for error in &mut rejection.errors {
        error.pointer.insert_str(0, pointer_prefix);
    }
    rejection
}

/// Names every required attribute that is missing or wrong.
fn faults(attribute: impl Fn(&str) -> Attribute) -> Vec<FieldError> {
    let one = |name: &str| {
        let detail = match attribute(name) {
            Attribute::Missing => "is missing from the CloudEvent",
            Attribute::Repeated => REPEATED,
            Attribute::NotText => "must be a string",
            Attribute::Text(text) if text.is_empty() => "must not be empty",
            Attribute::Text(text) if name == "specversion" && text != VERSION => "must be \"1.0\"",
            Attribute::Text(_) => return None,
        };
        Some(fault(name, detail))
    };
    REQUIRED.into_iter().filter_map(one).collect()
}

fn fault(name: &str, detail: &str) -> FieldError {
    FieldError { pointer: format!("/{name}"), detail: detail.to_owned() }
}

fn text_of(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// An invalid trace context counts as none.
fn trace_of(json: &RawValue) -> Option<String> {
    text_of(json).filter(|value| is_traceparent(value))
}

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

/// Reads an object, and refuses a member that is given twice.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = HashMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Event(members))
    }
}

/// Reads an array; `None` if it has more than `max` elements. Reading stops at the first element too many.
struct Events {
    max: usize,
}

impl<'de> Visitor<'de> for Events {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element::<&RawValue>()? {
            if events.len() == self.max {
                return Ok(None);
            }
            events.push(event);
        }
        Ok(Some(events))
    }
}

#[cfg(test)]
mod tests;
