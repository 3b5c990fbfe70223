//! CloudEvents 1.0 as requests: the event's `data` is the record, and its own `id` plays no part in the record's
//! identity. An event may be the body (structured mode), one of an array (batched mode), or headers beside the record
//! (binary mode).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderMap;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tallyhouse_pipeline::{ArrayError, FieldError, Record, Rejection, RejectionCode, is_traceparent, json_text};

/// The version of CloudEvents that is read.
const VERSION: &str = "1.0";

/// The attributes that every event has, as members of JSON, with the headers of binary mode (CloudEvents 1.0, HTTP
/// protocol binding, section 3.1.3).
const REQUIRED: [(&str, &str); 4] =
    [("specversion", "ce-specversion"), ("id", "ce-id"), ("source", "ce-source"), ("type", "ce-type")];

/// The extension attribute of distributed tracing, in binary mode.
const TRACEPARENT: &str = "ce-traceparent";

/// A record with the trace context of its event.
pub(crate) struct EventRecord {
    pub(crate) record: Result<Record, Rejection>,
    pub(crate) traceparent: Option<String>,
}

/// The members of an event in JSON that have a meaning here. Attributes of a wrong type count as missing.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    specversion: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    event_type: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceparent: Option<&'a RawValue>,
}

/// Reads an event in structured mode.
pub(crate) fn read(json: &[u8]) -> EventRecord {
    let not_an_event = || Rejection::at(None, "", "must be a CloudEvent: an object, with no member given twice");
    let event = json_text(json).and_then(|text| {
        // serde takes an array for a struct, too.
        let is_object = text.trim_start().starts_with('{');
        let event = serde_json::from_str::<Event<'_>>(text).ok().filter(|_| is_object);
        event.ok_or_else(not_an_event)
    });
    match event {
        Ok(event) => EventRecord { record: record_of(&event), traceparent: event.traceparent.and_then(trace_of) },
        Err(rejection) => EventRecord { record: Err(rejection), traceparent: None },
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
    let value = |header: &str| headers.get(header).and_then(|value| value.to_str().ok());
    let faults =
        faults(|member| REQUIRED.iter().find(|(name, _)| *name == member).and_then(|(_, header)| value(header)));
    let record = if faults.is_empty() { Record::from_json(json) } else { Err(rejected(faults)) };
    let traceparent = value(TRACEPARENT).filter(|value| is_traceparent(value)).map(str::to_owned);
    EventRecord { record, traceparent }
}

/// Says whether a request is an event in binary mode.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

fn record_of(event: &Event<'_>) -> Result<Record, Rejection> {
    let member = |name: &str| match name {
        "specversion" => event.specversion,
        "id" => event.id,
        "source" => event.source,
        _ => event.event_type,
    };
    let texts = REQUIRED.map(|(name, _)| (name, member(name).and_then(text_of)));
    let faults = faults(|name| texts.iter().find(|(known, _)| *known == name).and_then(|(_, text)| text.as_deref()));
    if !faults.is_empty() {
        return Err(rejected(faults));
    }
    match (event.data, event.data_base64) {
        (Some(data), None) => Record::from_json(data.get().as_bytes()).map_err(in_data),
        (None, Some(packed)) => {
            let bytes = text_of(packed).and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| Rejection::at(None, "/data_base64", "must be a string in Base64"))?;
            Record::from_json(&bytes)
        }
        (None, None) => Err(Rejection::at(None, "/data", "is missing: the record of the CloudEvent")),
        (Some(_), Some(_)) => Err(Rejection::at(None, "/data_base64", "must not be there beside data")),
    }
}

/// Points into the event, whose `data` the record is.
fn in_data(mut rejection: Rejection) -> Rejection {
    for error in &mut rejection.errors {
        error.pointer.insert_str(0, "/data");
    }
    rejection
}

/// Names every required attribute that is missing or wrong.
fn faults<'a>(attribute: impl Fn(&str) -> Option<&'a str>) -> Vec<FieldError> {
    let fault = |(name, _): (&str, &str)| {
        let detail = match attribute(name) {
            None | Some("") => "is missing from the CloudEvent",
            Some(version) if name == "specversion" && version != VERSION => "must be \"1.0\"",
            Some(_) => return None,
        };
        Some(FieldError { pointer: format!("/{name}"), detail: detail.to_owned() })
    };
    REQUIRED.into_iter().filter_map(fault).collect()
}

fn rejected(errors: Vec<FieldError>) -> Rejection {
    Rejection { record_id: None, code: RejectionCode::Rejected, errors }
}

fn text_of(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// A trace context that is not valid is as if there were none.
fn trace_of(json: &RawValue) -> Option<String> {
    text_of(json).filter(|value| is_traceparent(value))
}

/// Reads an array, and stops at the first element beyond `max`: `None` then.
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
