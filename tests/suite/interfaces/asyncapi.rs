//! What is described of the queues and messages in Redis is so: real entries are held against the AsyncAPI document.

use std::collections::HashMap;

use serde_json::{Value, json};
use tallyhouse_tests::clients::subscriber::Subscriber;
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::servers::fleet::{self, Fleet};
use tallyhouse_tests::servers::service::Options;
use tallyhouse_tests::wait;

use crate::interfaces::description::check;

/// The document, whose objects have no members but those that are named: what Tallyhouse writes has no others.
struct Described(Value);

impl Described {
    fn new() -> Self {
        let mut document: Value = serde_json::from_str(&tallyhouse_http::asyncapi()).expect("the document is JSON");
        crate::interfaces::description::close(&mut document["components"]);
        Self(document)
    }

    fn address(&self, channel: &str) -> &str {
        self.0["channels"][channel]["address"].as_str().expect("a text")
    }

    /// Holds an entry of a channel against its description, and shows that each of its members is needed.
    #[track_caller]
    fn check(&self, channel: &str, entry: &Value) {
        let mut schema = self.0["components"]["messages"][channel]["payload"].clone();
        assert!(schema.is_object(), "{channel} is not described");
        schema["components"] = self.0["components"].clone();
        check(channel, &schema, entry);
        for member in entry.as_object().expect("an object").keys() {
            let mut less = entry.clone();
            less.as_object_mut().expect("an object").remove(member);
            assert!(!jsonschema::is_valid(&schema, &less), "{channel}: an entry without {member} is taken for one");
        }
    }
}

/// The fields of the entries of a stream.
fn entries(fleet: &Fleet, stream: &str) -> Vec<Value> {
    let mut connection = fleet.redis.connection().expect("Redis answers");
    let entries: Vec<(String, HashMap<String, String>)> =
        redis::cmd("XRANGE").arg(stream).arg("-").arg("+").query(&mut connection).expect("Redis answers");
    entries.into_iter().map(|(_, fields)| json!(fields)).collect()
}

#[test]
fn the_queues_and_messages_are_as_they_are_described() {
    let described = Described::new();
    let options = Options::new().env("TALLYHOUSE_REDIS__DURABLE", "true").env("TALLYHOUSE_ALERTS__THRESHOLD", "100");
    let fleet = Fleet::start_with(1, &options);
    let [notifications, alerts] = ["notifications", "alerts"].map(|channel| described.address(channel));
    let subscriber = Subscriber::of(&fleet.redis, &[notifications, alerts]);
    let large = record_with("large", json!({"value": "101"}));
    described.check("recordsList", &large);
    fleet::push(&fleet.redis, &[large]);
    let entry = json!({"record": record("small").to_string()});
    described.check("recordsStream", &entry);
    fleet::add(&fleet.redis, &[record("small")]);
    fleet::push_payloads(&fleet.redis, [&b"not json"[..]].into_iter());
    wait::until("three messages", || (subscriber.count() == 3).then_some(()));
    for (channel, message) in subscriber.heard() {
        let name = channel.rsplit(':').next().expect("a name");
        described.check(name, &serde_json::from_str(&message).expect("a message is JSON"));
    }
    for (channel, count) in [("notificationsStream", 2), ("alertsStream", 1), ("deadLetters", 1)] {
        let entries = wait::until(channel, || {
            Some(entries(&fleet, described.address(channel))).filter(|entries| entries.len() == count)
        });
        entries.iter().for_each(|entry| described.check(channel, entry));
    }
}
