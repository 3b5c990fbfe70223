//! Messages: catch-up and event streams.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tallyhouse_http::HttpSettings;

use crate::support::raw::Raw;
use crate::support::service::{Plan, Service, record};

fn large(id: &str) -> Value {
    let mut large = record(id);
    large["value"] = json!("5000");
    large
}

fn subjects(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|message| message["id"].as_str().unwrap()).collect()
}

/// Follows a topic from now on, or as `more` headers and `query` say.
async fn follow(service: &Service, path: &str, more: &str) -> Raw {
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n{more}\r\n")).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-store\r\n") && head.contains("x-request-id: "), "{head}");
    raw.until(": following\n\n").await;
    raw
}

/// Reads the next event: its id and its message.
async fn event(raw: &mut Raw) -> (String, Value) {
    loop {
        let id = event_id(raw).await;
        let data = raw.until("\n").await;
        // An event without data is where the stream begins.
        if data != "\n" {
            raw.until("\n").await;
            return (id, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap());
        }
    }
}

/// Reads the id of the next event, with or without data.
async fn event_id(raw: &mut Raw) -> String {
    raw.until("id: ").await;
    raw.until("\n").await.trim().to_owned()
}

#[tokio::test]
async fn catching_up_page_by_page_finds_every_message_once() {
    let service = Service::start().await;
    assert_eq!(service.get("/v1/notifications").await.json(), json!({ "messages": [], "next": "0" }));
    for i in 0..7 {
        service.post_record(&if i % 2 == 0 { large(&format!("r{i}")) } else { record(&format!("r{i}")) }).await;
    }
    for (path, expect) in [
        ("/v1/notifications", vec!["r0", "r1", "r2", "r3", "r4", "r5", "r6"]),
        ("/v1/alerts", vec!["r0/large", "r2/large", "r4/large", "r6/large"]),
    ] {
        assert_eq!(subjects(&service.get(path).await.json()), expect);
        let (mut found, mut after) = (Vec::new(), "0".to_owned());
        loop {
            let page = service.get(&format!("{path}?limit=3&after={after}")).await.json();
            let next = page["next"].as_str().unwrap().to_owned();
            if subjects(&page).is_empty() {
                assert_eq!(next, after, "with nothing new the position stays");
                break;
            }
            found.extend(subjects(&page).into_iter().map(str::to_owned));
            after = next;
        }
        assert_eq!(found, expect);
    }
    let message = &service.get("/v1/notifications?limit=1").await.json()["messages"][0];
    assert_eq!(message["type"], "tallyhouse.record.processed.v1");
    assert_eq!(message["data"]["record"]["recordId"], "r0");
}

#[tokio::test]
async fn a_follower_hears_each_message_as_it_comes() {
    let service = Service::start().await;
    service.post_record(&large("before")).await;
    let mut notifications = follow(&service, "/v1/notifications/stream", "").await;
    let mut alerts = follow(&service, "/v1/alerts/stream", "").await;
    for i in 0..3 {
        service.post_record(&large(&format!("r{i}"))).await;
        let (position, message) = event(&mut notifications).await;
        assert!(position.starts_with(&format!("{}~", i + 2)), "{position}");
        assert_eq!((&message["position"], &message["id"]), (&json!(position), &json!(format!("r{i}"))));
        assert_eq!(event(&mut alerts).await.1["id"], format!("r{i}/large"));
    }
}

#[tokio::test]
async fn a_follower_resumes_without_a_gap_where_it_left_off() {
    let service = Service::start().await;
    for i in 0..4 {
        service.post_record(&record(&format!("r{i}"))).await;
    }
    for (path, more, expect) in [
        ("/v1/notifications/stream?after=0", "", "r0"),
        ("/v1/notifications/stream?after=2", "", "r2"),
        ("/v1/notifications/stream", "last-event-id: 3\r\n", "r3"),
        ("/v1/notifications/stream?after=0", "last-event-id: 1\r\n", "r1"),
        ("/v1/notifications/stream?after=1", "last-event-id:\r\n", "r1"),
    ] {
        let mut raw = follow(&service, path, more).await;
        let (_, message) = event(&mut raw).await;
        assert_eq!(message["id"], expect, "{path} {more}");
    }
    let mut raw = follow(&service, "/v1/notifications/stream?after=2", "").await;
    assert!(event(&mut raw).await.0.starts_with("3~"));
    assert!(event(&mut raw).await.0.starts_with("4~"));
    service.post_record(&record("r4")).await;
    assert_eq!(event(&mut raw).await.1["id"], "r4");
}

#[tokio::test]
async fn a_stream_from_now_on_says_where_it_begins() {
    let service = Service::start().await;
    assert_eq!(event_id(&mut follow(&service, "/v1/notifications/stream", "").await).await, "0");
    service.post_record(&large("before")).await;
    for topic in ["notifications", "alerts"] {
        let path = format!("/v1/{topic}/stream");
        let begin = event_id(&mut follow(&service, &path, "").await).await;
        // The client is cut off before its first message.
        service.post_record(&large(&format!("missed by {topic}"))).await;
        let mut resumed = follow(&service, &path, &format!("last-event-id: {begin}\r\n")).await;
        let (_, message) = event(&mut resumed).await;
        assert_eq!(message["data"]["record"]["recordId"], format!("missed by {topic}"));
    }
}

#[tokio::test]
async fn a_bad_last_event_id_is_refused() {
    let service = Service::start().await;
    let request = service.client.get(service.url("/v1/alerts/stream")).header("last-event-id", "x");
    crate::support::service::Response::of(request.send().await.unwrap()).await.is_problem(400, "bad-parameter");
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let settings = HttpSettings { keep_alive_interval: Duration::from_millis(50), ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    let mut raw = follow(&service, "/v1/notifications/stream", "").await;
    raw.until(": keep-alive\n\n").await;
    raw.until(": keep-alive\n\n").await;
    service.post_record(&record("a")).await;
    assert_eq!(event(&mut raw).await.1["id"], "a");
}

#[tokio::test]
async fn a_stream_breaks_when_storage_fails_and_is_resumed() {
    let service = Service::start().await;
    let mut raw = follow(&service, "/v1/notifications/stream", "").await;
    service.post_record(&record("a")).await;
    let (position, _) = event(&mut raw).await;
    service.store.unavailable.store(true, Ordering::SeqCst);
    let rest = raw.rest().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");
    service.store.unavailable.store(false, Ordering::SeqCst);
    service.recovers().await;
    let mut raw = follow(&service, "/v1/notifications/stream", &format!("last-event-id: {position}\r\n")).await;
    assert!(event(&mut raw).await.1["id"].as_str().unwrap().starts_with("recovery-"));
}

#[tokio::test]
async fn a_stream_ends_well_when_the_service_stops() {
    let service = Service::start().await;
    let mut raw = follow(&service, "/v1/notifications/stream", "").await;
    service.stop.cancel();
    let rest = raw.rest().await;
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    service.served.await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_well_when_its_connection_is_old() {
    let settings = HttpSettings { connection_age_max: Duration::from_millis(200), ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    let mut raw = follow(&service, "/v1/notifications/stream", "").await;
    assert!(raw.rest().await.ends_with("0\r\n\r\n"));
}
