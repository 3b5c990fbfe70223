//! Messages: their form to the letter, catch-up, and Server-Sent Events that resume without a gap.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tallyhouse_tests::clients::scrape::Scrape;
use tallyhouse_tests::clients::sse::Events;
use tallyhouse_tests::data::invariants::catch_up;
use tallyhouse_tests::data::records::{many, nth, record, record_with};
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

const TOML: &str = r#"
[[alerts.rules]]
name = "large-value"
threshold = "1000"
unit = "EUR"
[[alerts.rules]]
name = "any-eur"
threshold = "0.5"
unit = "EUR"
"#;

fn with_rules() -> Service {
    Service::start_with(Options::new().file(TOML))
}

fn ids(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["id"].as_str().expect("an id")).collect()
}

/// The position that a message bears: where it stands, and sixteen hexadecimal digits of its record.
#[track_caller]
fn position_of(message: &Value, begins: &str) -> String {
    let position = message["position"].as_str().expect("a text");
    let fingerprint = position.strip_prefix(begins).expect("it is where it should be");
    assert!(fingerprint.len() == 16 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit()), "{position}");
    position.to_owned()
}

#[test]
fn a_notification_is_the_same_to_the_letter() {
    let service = Service::start();
    let http = service.http();
    http.record(&record_with("a", json!({"value": "20", "type": "negative"})));
    let at = http.record(&record("b")).json()["processedAt"].as_str().expect("a time").to_owned();
    let page = http.get("/v1/notifications").expect_status(200);
    let position = position_of(&page.json()["messages"][1], "2~");
    let expected = format!(
        "{{\"specversion\":\"1.0\",\"type\":\"tallyhouse.record.processed.v1\",\"source\":\"urn:tallyhouse:records\",\"id\":\"b\",\
         \"subject\":\"IAH\",\"time\":\"{at}\",\"datacontenttype\":\"application/json\",\"position\":\"{position}\",\"data\":{{\"record\":{{\"recordId\":\"b\",\
         \"time\":\"2013-01-01T10:00:00Z\",\"sourceId\":\"UA\",\"destinationId\":\"IAH\",\"type\":\"positive\",\"value\":\"11\",\
         \"unit\":\"minute\",\"reference\":\"EWR\"}},\"sequence\":2,\"previous\":{{\"count\":1,\"firstTime\":\"2013-01-01T10:00:00Z\",\
         \"lastTime\":\"2013-01-01T10:00:00Z\",\"totals\":[{{\"unit\":\"minute\",\"count\":1,\"positive\":{{\"count\":0,\"sum\":\"0\"}},\
         \"negative\":{{\"count\":1,\"sum\":\"20\"}},\"net\":\"-20\"}}]}}}}}}"
    );
    assert!(page.text().contains(&expected), "expected {expected}\nin {}", page.text());
    assert!(page.text().starts_with("{\"messages\":[{\"specversion\""));
}

#[test]
fn an_alert_is_the_same_to_the_letter() {
    let service = with_rules();
    let http = service.http();
    let sent = record_with("a", json!({"value": "1000.01", "unit": "EUR"}));
    let at = http.record(&sent).json()["processedAt"].as_str().expect("a time").to_owned();
    let page = http.get("/v1/alerts").expect_status(200);
    let alerts = page.json()["messages"].clone();
    for (i, name, threshold, begins) in [(0, "large-value", "1000", "1~"), (1, "any-eur", "0.5", "1-1~")] {
        let position = position_of(&alerts[i], begins);
        let expected = format!(
            "{{\"specversion\":\"1.0\",\"type\":\"tallyhouse.record.alert.v1\",\"source\":\"urn:tallyhouse:alerts\",\"id\":\"a/{name}\",\
             \"subject\":\"IAH\",\"time\":\"{at}\",\"datacontenttype\":\"application/json\",\"position\":\"{position}\",\"data\":{{\"record\":{{\"recordId\":\"a\",\
             \"time\":\"2013-01-01T10:00:00Z\",\"sourceId\":\"UA\",\"destinationId\":\"IAH\",\"type\":\"positive\",\"value\":\"1000.01\",\
             \"unit\":\"EUR\",\"reference\":\"EWR\"}},\"sequence\":1,\"rule\":{{\"name\":\"{name}\",\"threshold\":\"{threshold}\",\"unit\":\"EUR\"}}}}}}"
        );
        assert!(page.text().contains(&expected), "expected {expected}\nin {}", page.text());
    }
}

#[test]
fn catch_up_has_every_message_once_and_in_order() {
    let service = with_rules();
    let http = service.http();
    let sent = many("r", 350);
    http.batch(&sent);
    http.batch(&sent);
    let expected: Vec<&str> = sent.iter().map(|r| r["recordId"].as_str().expect("an id")).collect();
    for limit in [1000, 100, 7] {
        assert_eq!(ids(&catch_up(&http, "notifications", limit)), expected, "limit {limit}");
    }
    assert_eq!(http.get("/v1/notifications").json()["messages"].as_array().map(Vec::len), Some(100));
    let over = |r: &Value, threshold: f64| {
        r["unit"] == "EUR" && r["value"].as_str().and_then(|v| v.parse::<f64>().ok()).expect("a number") > threshold
    };
    let alerts = catch_up(&http, "alerts", 13);
    let expected = sent.iter().filter(|r| over(r, 0.5)).count() + sent.iter().filter(|r| over(r, 1000.0)).count();
    assert_eq!(alerts.len(), expected);
    let mut unique = ids(&alerts);
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), expected);
    // One at a time, so that a page ends between two alerts of one record.
    assert_eq!(catch_up(&http, "alerts", 1).len(), expected);
}

#[test]
fn next_repeats_after_where_nothing_is_new() {
    let service = Service::start();
    let http = service.http();
    let empty = http.get("/v1/notifications").expect_status(200).json();
    assert_eq!(empty["messages"], json!([]));
    let start = empty["next"].as_str().expect("a position, even where there is nothing yet").to_owned();
    http.record(&record("a"));
    let page = http.get(&format!("/v1/notifications?after={start}")).json();
    assert_eq!(ids(page["messages"].as_array().expect("a list")), ["a"]);
    let next = page["next"].as_str().expect("text");
    let again = http.get(&format!("/v1/notifications?after={next}")).json();
    assert_eq!(again, json!({"messages": [], "next": next}));
    http.record(&record("b"));
    let page = http.get(&format!("/v1/notifications?after={next}")).json();
    assert_eq!(ids(page["messages"].as_array().expect("a list")), ["b"]);
    // Where a topic has nothing, its position may still go on; nothing that comes later is skipped.
    let alerts = http.get("/v1/alerts").json();
    let next = alerts["next"].as_str().expect("text").to_owned();
    http.record(&record_with("big", json!({"value": "10000.1"})));
    let page = http.get(&format!("/v1/alerts?after={next}")).json();
    assert_eq!(ids(page["messages"].as_array().expect("a list")), ["big/default"]);
}

#[test]
fn bad_positions_are_refused() {
    let service = Service::start();
    let http = service.http();
    for topic in ["notifications", "alerts"] {
        for query in [
            "after=x",
            "after=",
            "after=-1",
            "after=%2B1",
            "limit=0",
            "limit=1001",
            "foo=1",
            "after=1&after=1",
            "start=2013-01-01T00:00:00Z",
        ] {
            http.get(&format!("/v1/{topic}?{query}")).problem(400, "bad-parameter");
        }
        for query in ["after=x", "limit=5", "foo=1"] {
            http.get(&format!("/v1/{topic}/stream?{query}")).problem(400, "bad-parameter");
        }
        let bad = http.request("GET", &format!("/v1/{topic}/stream")).header("last-event-id", "nonsense");
        tallyhouse_tests::clients::http::send(bad).problem(400, "bad-parameter");
    }
}

#[test]
fn a_stream_brings_what_comes_from_now_on() {
    let service = with_rules();
    let http = service.http();
    http.record(&record("before"));
    let mut notifications = Events::open(service.address(), "/v1/notifications/stream", None);
    let mut alerts = Events::open(service.address(), "/v1/alerts/stream", None);
    http.record(&record_with("big", json!({"value": "5000", "unit": "EUR"})));
    http.record(&record("small"));
    let first = notifications.next_event();
    assert_eq!(first.message()["id"], "big");
    assert_eq!(notifications.next_event().message()["id"], "small");
    let mut names = [alerts.next_event(), alerts.next_event()]
        .map(|event| event.message()["id"].as_str().expect("an id").to_owned());
    names.sort_unstable();
    assert_eq!(names, ["big/any-eur", "big/large-value"]);
    // The same letters as in catch-up, and the same positions.
    let page = http.get("/v1/notifications");
    assert!(page.text().contains(&first.data));
    let after = http.get(&format!("/v1/notifications?after={}", first.id)).json();
    assert_eq!(ids(after["messages"].as_array().expect("a list")), ["small"]);
}

#[test]
fn a_stream_resumes_without_a_gap() {
    let service = Service::start();
    let http = service.http();
    let mut stream = Events::open(service.address(), "/v1/notifications/stream", None);
    http.batch(&many("r", 30));
    let seen: Vec<_> = (0..10).map(|_| stream.next_event()).collect();
    drop(stream);
    http.batch(&(30..60).map(|i| nth("r", i)).collect::<Vec<_>>());
    let last = &seen[9].id;
    let mut expected: Vec<String> = (10..60).map(|i| format!("r-{i:06}")).collect();
    let by_header = ("/v1/notifications/stream".to_owned(), Some(last.as_str()));
    let by_parameter = (format!("/v1/notifications/stream?after={last}"), None);
    for (path, header) in [by_header, by_parameter] {
        let mut resumed = Events::open(service.address(), &path, header);
        expected.iter().for_each(|id| assert_eq!(resumed.next_event().message()["id"], id.as_str()));
        http.record(&record(&path));
        assert_eq!(resumed.next_event().message()["id"], path, "and goes on with what is new");
        expected.push(path);
    }
}

#[test]
fn a_stream_from_the_start_has_everything() {
    let service = Service::start();
    let http = service.http();
    let start = http.get("/v1/notifications").json()["next"].as_str().expect("text").to_owned();
    // More than one page of anything.
    http.lines("?results=failed", tallyhouse_tests::data::records::ndjson(&many("r", 3_000)));
    let mut stream = Events::open(service.address(), &format!("/v1/notifications/stream?after={start}"), None);
    for i in 0..3_000 {
        assert_eq!(stream.next_event().message()["id"], format!("r-{i:06}"));
    }
    assert!(stream.next_within(Duration::from_millis(300)).is_none(), "and nothing twice");
}

#[test]
fn readers_that_come_while_records_come_miss_nothing() {
    let service = Service::start();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let http = service.http();
            for i in 0..300 {
                assert_eq!(http.record(&nth("r", i)).status, 201);
            }
        });
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let http = service.http();
                    let mut stream = Events::open(service.address(), "/v1/notifications/stream", None);
                    let first = stream.next_event();
                    let first_id = first.message()["id"].as_str().expect("an id").to_owned();
                    let mut seen = vec![first_id];
                    while seen.last().is_some_and(|id| id != "r-000299") {
                        seen.push(stream.next_event().message()["id"].as_str().expect("an id").to_owned());
                    }
                    let begin: usize = seen[0].trim_start_matches("r-").parse().expect("a number");
                    let expected: Vec<String> = (begin..300).map(|i| format!("r-{i:06}")).collect();
                    assert_eq!(seen, expected);
                    assert_eq!(ids(&catch_up(&http, "notifications", 1000)).len(), 300);
                })
            })
            .collect();
        writer.join().expect("the writer does not panic");
        readers.into_iter().for_each(|reader| reader.join().expect("a reader does not panic"));
    });
}

#[test]
fn streams_say_that_they_are_alive_and_end_with_the_service() {
    let mut service = Service::start_with(Options::new().env("TALLYHOUSE_HTTP__KEEP_ALIVE_INTERVAL_MS", "50"));
    let mut stream = Events::open(service.address(), "/v1/notifications/stream", None);
    stream.next_comment();
    stream.next_comment();
    let alerts = Events::open(service.address(), "/v1/alerts/stream", None);
    service.ask_to_stop();
    assert!(stream.rest().is_empty());
    assert!(alerts.rest().is_empty());
    assert_eq!(service.ended().0, Some(0));
}

#[test]
fn messages_survive_a_restart_and_a_change_of_the_rules() {
    let mut service = with_rules();
    let http = service.http();
    http.record(&record_with("a", json!({"value": "2000", "unit": "EUR"})));
    let before = http.get("/v1/alerts").text().to_owned();
    service.stop();
    service.folder().write("tallyhouse.toml", "[alerts]\nthreshold = \"1\"\n");
    service.restart();
    let http = service.http();
    assert_eq!(http.get("/v1/alerts").text(), before, "rules and thresholds as they were at the commit");
    assert_eq!(http.record(&record_with("b", json!({"value": "2"}))).json()["alerts"], json!(["default"]));
}

#[test]
fn the_sources_are_settings_and_traceparent_is_handed_on() {
    let options = Options::new()
        .env("TALLYHOUSE_MESSAGES__RECORDS_SOURCE", "urn:example:records")
        .env("TALLYHOUSE_MESSAGES__ALERTS_SOURCE", "urn:example:alerts");
    let service = Service::start_with(options);
    let http = service.http();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sent = record_with("a", json!({"value": "20000"})).to_string();
    let request =
        http.request("POST", "/v1/records").header("content-type", "application/json").header("traceparent", trace);
    assert_eq!(tallyhouse_tests::clients::http::send(request.body(sent)).status, 201);
    for (topic, source) in [("notifications", "urn:example:records"), ("alerts", "urn:example:alerts")] {
        let message = http.get(&format!("/v1/{topic}")).json()["messages"][0].clone();
        assert_eq!(message["source"], source);
        assert_eq!(message["traceparent"], trace);
    }
}

#[test]
fn messages_wait_for_an_instance_with_the_settings_that_they_were_committed_with() {
    let mut redis = RedisServer::start().expect("Redis starts");
    let (folder, url) = (Arc::new(Folder::new()), redis.url());
    let start = |prefix: Option<&str>| {
        let options = Options::new().env("TALLYHOUSE_PIPELINE__LEASE_MS", "1000");
        let options = match prefix {
            Some(prefix) => options.env("TALLYHOUSE_REDIS__URL", &url).env("TALLYHOUSE_REDIS__PREFIX", prefix),
            None => options,
        };
        Service::start_in(Arc::clone(&folder), options)
    };
    let await_metric = |service: &Service, name: &str, expected: f64| {
        wait::until(name, || (Scrape::of(&service.http()).find(name, &[]) == Some(expected)).then_some(()));
    };
    let mut owes = start(Some("first"));
    redis.kill().expect("Redis can be killed");
    owes.http().record(&nth("owed", 0)).expect_status(201);
    owes.kill();
    redis.restart().expect("Redis starts");

    for (n, prefix) in [Some("second"), None].into_iter().enumerate() {
        let mut other = start(prefix);
        other.http().record(&nth("other", n)).expect_status(201);
        await_metric(&other, "tallyhouse_outbox_foreign_batches", 1.0);
        await_metric(&other, "tallyhouse_outbox_batches", 1.0);
        assert!(other.log().contains("messages stay unpublished"), "{}", other.log());
        other.stop();
    }
    let heir = start(Some("first"));
    await_metric(&heir, "tallyhouse_outbox_batches", 0.0);
    await_metric(&heir, "tallyhouse_outbox_foreign_batches", 0.0);
    let published =
        Scrape::of(&heir.http()).value("tallyhouse_messages_published_total", &[("topic", "notifications")]);
    assert_eq!(published, 1.0, "those of others were not published again");
}
