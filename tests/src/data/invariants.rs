//! Looks at a service from outside, and checks that everything that is promised about its records holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::clients::http::Client;
use crate::data::sums::Ledger;
use crate::servers::service::Service;

/// Reads everything that a topic can catch up with.
///
/// # Panics
/// An answer is not what it should be.
#[must_use]
#[track_caller]
pub fn catch_up(http: &Client, topic: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let from = after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
        let page = http.get(&format!("/v1/{topic}?limit={limit}{from}")).expect_status(200).json();
        let messages = page["messages"].as_array().expect("a list of messages").clone();
        let next = page["next"].as_str().expect("a position is a string").to_owned();
        assert!(messages.len() <= limit, "more messages than asked for");
        if messages.is_empty() {
            assert!(after.is_none_or(|after| after == next), "with nothing new, next repeats after");
            return all;
        }
        assert_ne!(after.as_ref(), Some(&next), "next goes on where there are messages");
        all.extend(messages);
        after = Some(next);
    }
}

/// Checks that the service holds exactly these records, each once, and that all that follows from them is right:
/// totals, sequences without gap or repeat, previous summaries, one notification each, and that `verify` is content.
/// The records' values are written out plainly, and their times in UTC without a fraction.
///
/// # Panics
/// Something is wrong; says what.
#[track_caller]
pub fn check(service: &Service, records: &[Value]) {
    let http = service.http();
    let expected: BTreeMap<&str, &Value> =
        records.iter().map(|record| (record["recordId"].as_str().expect("an id"), record)).collect();
    let groups = http.get("/v1/aggregates").expect_status(200).json();
    let mut seen = BTreeSet::new();
    for group in groups["groups"].as_array().expect("a list of groups") {
        let mut ledger = Ledger::default();
        for stored in group["records"].as_array().expect("a list of records") {
            let id = stored["recordId"].as_str().expect("an id");
            assert!(seen.insert(id), "{id} is there twice");
            let sent = expected.get(id).unwrap_or_else(|| panic!("{id} was never sent"));
            for (field, value) in sent.as_object().expect("an object") {
                assert_eq!(&stored[field], value, "{id}: {field}");
            }
            ledger.add(stored);
        }
        let summary = ledger.summary();
        for member in ["count", "firstTime", "lastTime", "totals"] {
            assert_eq!(group[member], summary[member], "{}: {member}", group["destinationId"]);
        }
    }
    let missing: Vec<&&str> = expected.keys().filter(|id| !seen.contains(**id)).take(5).collect();
    assert!(missing.is_empty(), "{} of {} records are there; missing: {missing:?} …", seen.len(), expected.len());
    check_messages(&http, expected.len());
    service.run(&["verify"]).ok();
}

/// Checks the notifications: one for each record; by key their sequences are 1 to n, each with the summary of those
/// before.
#[track_caller]
fn check_messages(http: &Client, records: usize) {
    let messages = catch_up(http, "notifications", 1_000);
    let ids: BTreeSet<&str> = messages.iter().map(|message| message["id"].as_str().expect("an id")).collect();
    assert_eq!((messages.len(), ids.len()), (records, records), "one notification for each record");
    let mut keys: BTreeMap<(String, String), BTreeMap<u64, &Value>> = BTreeMap::new();
    for message in &messages {
        let record = &message["data"]["record"];
        let key = (record["destinationId"].to_string(), record["reference"].to_string());
        let sequence = message["data"]["sequence"].as_u64().expect("a sequence");
        let other = keys.entry(key).or_default().insert(sequence, &message["data"]);
        assert!(other.is_none(), "sequence {sequence} is there twice: {message}");
    }
    for (key, by_sequence) in keys {
        let mut ledger = Ledger::default();
        for ((sequence, data), expected) in by_sequence.iter().zip(1..) {
            assert_eq!(*sequence, expected, "{key:?}");
            assert_eq!(data["previous"], ledger.summary(), "{key:?}: previous of {sequence}");
            ledger.add(&data["record"]);
        }
        let path = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let text = |json: &str| serde_json::from_str::<String>(json).expect("a JSON string");
        let (destination, reference) = (path(&text(&key.0)), path(&text(&key.1)));
        let running = http.get(&format!("/v1/summaries/{destination}?reference={reference}")).expect_status(200).json();
        let mut summary = ledger.summary();
        summary["reference"] = Value::from(text(&key.1));
        summary["sequence"] = summary["count"].clone();
        assert_eq!(running["summaries"], Value::from(vec![summary]), "{key:?}");
    }
}
