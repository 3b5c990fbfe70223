//! What subscribers see: the messages to the letter, in channels, streams and event streams of any instance.

use std::time::{Duration, Instant};

use redis::Commands as _;
use serde_json::{Value, json};
use tallyhouse_tests::clients::sse::Events;
use tallyhouse_tests::clients::subscriber::Subscriber;
use tallyhouse_tests::data::invariants;
use tallyhouse_tests::data::records::{nth, record, record_with};
use tallyhouse_tests::servers::fleet::Fleet;
use tallyhouse_tests::servers::service::Options;
use tallyhouse_tests::wait;

const RULE: &str = "[[alerts.rules]]\nname = \"large-value\"\nthreshold = \"1000\"\nunit = \"EUR\"\n";

const EMPTY: &str = r#"{"count":0,"firstTime":null,"lastTime":null,"totals":[]}"#;

const FIRST: &str = r#"{"recordId":"a","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"11","unit":"EUR","reference":"EWR"}"#;

const SECOND: &str = r#"{"recordId":"b \"ü\" \\ / 𝔘","time":"2013-01-01T08:00:00.120000Z","sourceId":"UA","destinationId":"IAH","type":"negative","value":"20000.50","unit":"EUR","reference":"EWR"}"#;

/// The second record as it is sent: with an offset, finer than a microsecond, and its value a number.
const SECOND_SENT: &str = r#"{"note":[1],"reference":"EWR","unit":"EUR","value":20000.50,"type":"negative","destinationId":"IAH","sourceId":"UA","time":"2013-01-01T10:00:00.1200009+02:00","recordId":"b \"\u00fc\" \\ \/ 𝔘"}"#;

const SECOND_PREVIOUS: &str = r#"{"count":1,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-01T10:00:00Z","totals":[{"unit":"EUR","count":1,"positive":{"count":1,"sum":"11"},"negative":{"count":0,"sum":"0"},"net":"11"}]}"#;

fn notification(id: &str, at: &str, position: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"tallyhouse.record.processed.v1","source":"urn:tallyhouse:records","id":{id},"subject":"IAH","time":"{at}","datacontenttype":"application/json","position":"{position}","data":{data}}}"#
    )
}

fn alert(id: &str, at: &str, position: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","type":"tallyhouse.record.alert.v1","source":"urn:tallyhouse:alerts","id":{id},"subject":"IAH","time":"{at}","datacontenttype":"application/json","position":"{position}","data":{data}}}"#
    )
}

/// Where a message says that it stands: here, and in a history that has a fingerprint.
#[track_caller]
fn position_of(message: &str, begins: &str) -> String {
    let message: Value = serde_json::from_str(message).expect("a message is JSON");
    let position = message["position"].as_str().expect("a text");
    let fingerprint = position.strip_prefix(begins).expect("it is where it should be");
    assert!(fingerprint.len() == 16 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()), "{position}");
    position.to_owned()
}

/// Reads the messages of a stream.
fn stream(fleet: &Fleet, key: &str) -> Vec<String> {
    let mut connection = fleet.redis.connection().expect("Redis answers");
    let entries: Vec<(String, Vec<(String, String)>)> = connection.xrange_all(key).expect("Redis answers");
    let message = |(_, fields): (String, Vec<(String, String)>)| match fields.as_slice() {
        [(name, message)] if name == "message" => message.clone(),
        _ => panic!("an entry has the one field message: {fields:?}"),
    };
    entries.into_iter().map(message).collect()
}

#[test]
fn channels_and_streams_carry_the_messages_to_the_letter() {
    let fleet = Fleet::start_with(1, &Options::new().file(RULE).env("TALLYHOUSE_REDIS__DURABLE", "true"));
    let subscriber = Subscriber::of(&fleet.redis, &["tallyhouse:notifications", "tallyhouse:alerts"]);
    let http = fleet.instances[0].http();
    let at = |body: &str| {
        let answer = http.post("/v1/records", body).expect_status(201).json();
        answer["processedAt"].as_str().expect("a time").to_owned()
    };
    let (first_at, second_at) = (at(FIRST), at(SECOND_SENT));
    let second_id = |suffix: &str| format!(r#""b \"ü\" \\ / 𝔘{suffix}""#);
    let rules = [
        ("default", r#"{"name":"default","threshold":"10000"}"#),
        ("large-value", r#"{"name":"large-value","threshold":"1000","unit":"EUR"}"#),
    ];

    wait::until("four messages", || (subscriber.count() >= 4).then_some(()));
    let heard = subscriber.heard();
    let of = |channel: &str| -> Vec<String> {
        heard.iter().filter(|(from, _)| from == channel).map(|(_, message)| message.clone()).collect()
    };
    let mut heard_alerts = of("tallyhouse:alerts");
    heard_alerts.sort();
    let heard_notifications = of("tallyhouse:notifications");
    assert_eq!((heard_notifications.len(), heard_alerts.len()), (2, 2));

    let notifications = vec![
        notification(
            "\"a\"",
            &first_at,
            &position_of(&heard_notifications[0], "1~"),
            &format!(r#"{{"record":{FIRST},"sequence":1,"previous":{EMPTY}}}"#),
        ),
        notification(
            &second_id(""),
            &second_at,
            &position_of(&heard_notifications[1], "2~"),
            &format!(r#"{{"record":{SECOND},"sequence":2,"previous":{SECOND_PREVIOUS}}}"#),
        ),
    ];
    let alerts: Vec<String> = rules
        .iter()
        .zip(heard_alerts.iter().zip(["2~", "2-1~"]))
        .map(|((name, rule), (heard, begins))| {
            let data = format!(r#"{{"record":{SECOND},"sequence":2,"rule":{rule}}}"#);
            alert(&second_id(&format!("/{name}")), &second_at, &position_of(heard, begins), &data)
        })
        .collect();
    assert_eq!(heard_notifications, notifications);
    assert_eq!(heard_alerts, alerts);
    assert_eq!(stream(&fleet, "tallyhouse:notifications:stream"), notifications);
    let mut durable = stream(&fleet, "tallyhouse:alerts:stream");
    durable.sort();
    assert_eq!(durable, alerts);
}

#[test]
fn a_traceparent_is_handed_on_and_nothing_lies_in_streams_unasked() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let fleet = Fleet::start(1);
    let subscriber = fleet.subscribe();
    fleet.cli(&["XADD", "tallyhouse:records:stream", "*", "record", FIRST, "traceparent", TRACE]);
    let message = subscriber.await_ids(1, wait::PATIENCE).remove(0);
    assert_eq!(message["traceparent"], TRACE);
    assert_eq!(invariants::catch_up(&fleet.instances[0].http(), "notifications", 10), [message]);
    assert_eq!(fleet.cli(&["EXISTS", "tallyhouse:notifications:stream", "tallyhouse:alerts:stream"]), "0");
}

#[test]
fn a_client_of_one_instance_sees_what_another_processes_within_two_seconds() {
    const ROUNDS: usize = 60;
    let fleet = Fleet::start(3);
    let clients = fleet.clients();
    let open = |service: &tallyhouse_tests::servers::service::Service| {
        Events::open(service.address(), "/v1/notifications/stream", None)
    };
    let mut streams: Vec<Events> = fleet.instances.iter().map(open).collect();
    let mut seen: Vec<Vec<(String, Value)>> = vec![Vec::new(); streams.len()];
    let mut slowest = Duration::ZERO;
    for i in 0..ROUNDS {
        // Now one record, now a few at once, each at another instance.
        for part in 0..=(i % 3) {
            let record = nth("sse", 3 * i + part);
            assert_eq!(clients[(i + part) % 3].record(&record).status, 201);
        }
        let began = Instant::now();
        for (stream, seen) in streams.iter_mut().zip(&mut seen) {
            for _ in 0..=(i % 3) {
                let left = Duration::from_secs(2).saturating_sub(began.elapsed());
                let event =
                    stream.next_within(left).unwrap_or_else(|| panic!("nothing came within two seconds, in round {i}"));
                seen.push((event.id.clone(), event.message()));
            }
        }
        slowest = slowest.max(began.elapsed());
    }
    println!("the slowest came after {slowest:?}");
    let stored: Vec<Value> = invariants::catch_up(&clients[0], "notifications", 1_000);
    for seen in &seen {
        assert_eq!(seen.iter().map(|(_, message)| message).collect::<Vec<_>>(), stored.iter().collect::<Vec<_>>());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the same positions everywhere");

    // A client that goes to another instance resumes there, without a gap.
    let middle = &seen[0][stored.len() / 2].0;
    let mut resumed = Events::open(fleet.instances[2].address(), "/v1/notifications/stream", Some(middle));
    for expected in &stored[stored.len() / 2 + 1..] {
        assert_eq!(&resumed.next_event().message(), expected);
    }
    assert_eq!(clients[0].record(&record_with("last", json!({}))).status, 201);
    assert_eq!(resumed.next_event().message()["data"]["record"], record("last"));
}
