//! The configurations of Redpanda Connect among the examples name what the service has. Redpanda Connect itself is not run.

use std::collections::BTreeSet;

use redis::Commands as _;
use serde_json::{Value, json};
use tallyhouse_tests::clients::http::send;
use tallyhouse_tests::data::records::record;
use tallyhouse_tests::folder::workspace;
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

fn text_of(file: &str) -> String {
    let path = workspace().join("examples/redpanda-connect").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value behind a key that stands once in a file.
fn value_of<'a>(text: &'a str, key: &str) -> &'a str {
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    let value = values.next().unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(values.next(), None, "{key} stands there twice");
    value
}

#[test]
fn a_message_is_posted_as_the_http_output_says_and_taken_once() {
    let text = text_of("http.yaml");
    let service = Service::start();
    let path = value_of(&text, "url").split_once('}').expect("a variable and a path").1;
    let post = || {
        let request = service.http().request(value_of(&text, "verb"), path);
        // What the templates of the headers yield without a key and without a trace.
        let request = request.header("authorization", "Bearer none").header("traceparent", "");
        send(request.header("content-type", value_of(&text, "Content-Type")).body(record("r").to_string())).status
    };
    assert_eq!([post(), post()], [201, 200]);
}

#[test]
fn the_http_output_repeats_what_can_be_taken_later_and_nothing_else() {
    let text = text_of("http.yaml");
    let list = |key: &str| -> BTreeSet<u16> {
        let items = value_of(&text, key).trim_matches(['[', ']']).split(", ");
        items.map(|status| status.parse().expect("a status")).collect()
    };
    let (later, never) = (list("backoff_on"), list("drop_on"));
    let document: Value = Service::start().http().get("/openapi.json").json();
    let responses = document["paths"]["/v1/records"]["post"]["responses"].as_object().expect("responses");
    let statuses: BTreeSet<u16> = responses.keys().map(|status| status.parse().expect("a status")).collect();
    // Faults of the configuration are repeated, too, until the configuration is mended.
    let configured = BTreeSet::from([401, 403, 431]);
    for status in statuses.into_iter().filter(|status| *status >= 400) {
        let named = [&later, &never, &configured].iter().filter(|list| list.contains(&status)).count();
        assert_eq!(named, 1, "{status}");
    }
    assert!(later.is_superset(&BTreeSet::from([429, 503])));
}

#[test]
fn an_entry_as_the_redis_output_adds_it_is_taken() {
    let text = text_of("redis.yaml");
    let redis = RedisServer::start().expect("Redis starts");
    let service = Service::start_with(Options::new().env("TALLYHOUSE_REDIS__URL", redis.url()));
    let entry = [(value_of(&text, "body_key"), record("r").to_string())];
    let _: String = redis
        .connection()
        .expect("Redis answers")
        .xadd(value_of(&text, "stream"), "*", &entry)
        .expect("Redis takes it");
    let taken = wait::until("the record is taken", || {
        Some(service.http().get("/v1/records/r")).filter(|answer| answer.status == 200)
    });
    assert_eq!(taken.json()["sequence"], json!(1));
    assert!(text.contains("exclude_prefixes: [\"\"]"), "metadata would become fields of the entry");
}

#[test]
fn every_input_leads_to_the_output() {
    for (file, input) in [("kafka.yaml", "kafka"), ("nats.yaml", "nats_jetstream"), ("amqp.yaml", "amqp_0_9")] {
        let text = text_of(file);
        assert!(text.contains(&format!("input:\n  {input}:\n")), "{file}");
        assert!(text.ends_with("output:\n  resource: tallyhouse\n"), "{file}");
    }
    for file in ["http.yaml", "redis.yaml"] {
        assert!(text_of(file).contains("output_resources:\n  - label: tallyhouse\n"), "{file}");
    }
}
