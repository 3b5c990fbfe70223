//! Which queries are good: an oracle.

use hyper::Uri;
use tallyhouse_http::testing::{Place, places};
use tallyhouse_pipeline::Cursor;

use crate::oracle::{field, instant};

/// Most groups on a page.
const AGGREGATES_MAX: u64 = u32::MAX as u64;

/// How a question is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Good,
    Bad,
    NotFound,
    /// Not decided here.
    Any,
}

/// Says how `GET` of an address is to be answered.
pub(super) fn expected(uri: &Uri) -> Expected {
    // Only what varies in a path is decoded: the fixed segments must match as they stand.
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    let good = |rule: fn(&str, &str) -> bool| {
        let parameters = read(uri.query().unwrap_or_default());
        let good = parameters.is_some_and(|parameters| {
            let once = |name: &str| parameters.iter().filter(|(other, _)| other == name).count() == 1;
            parameters.iter().all(|(name, value)| once(name) && rule(name, value))
        });
        if good { Expected::Good } else { Expected::Bad }
    };
    match *parts.as_slice() {
        ["v1", "records"] => good(of_records),
        ["v1", "aggregates"] => good(of_aggregates),
        ["v1", "export"] => good(of_filter),
        ["v1", "summaries", destination] if !destination.is_empty() => {
            let destination = decoded(destination, false);
            let is_good = destination.is_some_and(|destination| field("destinationId", &destination).is_some());
            if is_good { good(of_summaries) } else { Expected::Bad }
        }
        ["v1", "notifications" | "alerts"] => good(of_messages),
        ["v1", "notifications" | "alerts", "stream"] => good(|name, value| name == "after" && is_position(value)),
        ["v1", "records", id] if !id.is_empty() => match (decoded(id, false), good(|_, _| false)) {
            (Some(id), Expected::Good) if ["r-1", "a/b c", "%41", "batch"].contains(&id.as_str()) => Expected::Good,
            (Some(_), Expected::Good) => Expected::NotFound,
            (None, _) => Expected::Bad,
            (Some(_), other) => other,
        },
        [""] | ["assets", ..] | ["healthz" | "readyz"] | ["v1", "dead-letters" | "alert-rules", ..] => Expected::Any,
        _ => Expected::NotFound,
    }
}

/// Reads a query into names and values; `None` where it is not well encoded.
pub(super) fn read(query: &str) -> Option<Vec<(String, String)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name, true)?, decoded(value, true)?))
        })
        .collect()
}

fn decoded(text: &str, form: bool) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => u8::try_from(hex(rest.next())? * 16 + hex(rest.next())?).ok()?,
            b'+' if form => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn of_records(name: &str, value: &str) -> bool {
    match name {
        "limit" => is_number(value, 1_000),
        "cursor" => places(value).iter().any(|place| matches!(place, Place::Record(..))),
        _ => of_filter(name, value),
    }
}

fn of_aggregates(name: &str, value: &str) -> bool {
    match name {
        "records" => value == "true" || value == "false",
        "limit" => is_number(value, AGGREGATES_MAX),
        "cursor" => places(value).iter().any(|place| matches!(place, Place::Group(_))),
        _ => of_filter(name, value),
    }
}

fn of_summaries(name: &str, value: &str) -> bool {
    match name {
        "reference" => field(name, value).is_some(),
        "limit" => is_number(value, 1_000),
        "cursor" => places(value).iter().any(|place| matches!(place, Place::Summary(_))),
        _ => false,
    }
}

fn of_messages(name: &str, value: &str) -> bool {
    match name {
        "after" => is_position(value),
        "limit" => is_number(value, 1_000),
        _ => false,
    }
}

fn of_filter(name: &str, value: &str) -> bool {
    match name {
        // The plus sign of an offset that was not encoded came as a space.
        "start" | "end" => instant(&value.replace(' ', "+")).is_some(),
        "type" | "destinationId" | "sourceId" | "reference" | "unit" => field(name, value).is_some(),
        _ => false,
    }
}

fn is_position(text: &str) -> bool {
    text.parse::<Cursor>().is_ok()
}

/// Says whether a text is a number from 1 to `max`.
fn is_number(text: &str, max: u64) -> bool {
    let digits = text.trim_start_matches('0');
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_digit())
        && digits.len() < 19
        && digits.parse::<u64>().is_ok_and(|number| number <= max)
}
