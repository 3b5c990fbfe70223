//! The forms of bodies: packed, by several media types, with a byte order mark, as CloudEvents; and of pages and streams.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tallyhouse_http::HttpSettings;

use crate::support::service::{Plan, Response, Service, record, various};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn send(service: &Service, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Response {
    let mut request = service.client.post(service.url(path)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Response::of(request.send().await.unwrap()).await
}

async fn send_packed(service: &Service, path: &str, media: &str, body: impl Into<reqwest::Body>) -> Response {
    send(service, path, &[(CONTENT_TYPE.as_str(), media), (CONTENT_ENCODING.as_str(), "gzip")], body).await
}

#[tokio::test]
async fn every_body_may_be_gzipped() {
    let service = Service::start().await;
    let one =
        send_packed(&service, "/v1/records", "application/json", packed(record("a").to_string().as_bytes())).await;
    assert_eq!(one.status, 201, "{one:?}");
    let array = json!([record("b"), record("c")]).to_string();
    let array = send_packed(&service, "/v1/records/batch", "application/json", packed(array.as_bytes())).await;
    assert_eq!(array.json()["processed"], 2);
    // Two members, one after the other, are one body.
    let mut lines = packed(format!("{}\n", record("d")).as_bytes());
    lines.extend(packed(format!("{}\n", record("e")).as_bytes()));
    let lines = send_packed(&service, "/v1/records/batch", "application/x-ndjson", lines).await;
    assert_eq!(lines.body.lines().count(), 2, "{lines:?}");
    let put = service.client.put(service.url("/v1/alert-rules/late")).header(CONTENT_ENCODING, "gzip");
    let put = put.header(CONTENT_TYPE, "application/json").body(packed(br#"{"threshold":"5"}"#));
    assert_eq!(put.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn limits_count_what_is_unpacked() {
    let settings = HttpSettings { record_bytes_max: 1_000, batch_bytes_max: 2_000, ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    let blanks = packed(&[b' '; 100_000]);
    assert!(blanks.len() < 1_000, "as it is sent, it is below both limits");
    send_packed(&service, "/v1/records", "application/json", blanks.clone()).await.is_problem(413, "too-large");
    send_packed(&service, "/v1/records/batch", "application/json", blanks).await.is_problem(413, "too-large");
    let long = packed(format!("{}\n{}\n", "x".repeat(5_000), record("a")).as_bytes());
    let lines = send_packed(&service, "/v1/records/batch", "application/x-ndjson", long).await;
    let results: Vec<Value> = lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&results[0]["outcome"], &results[1]["outcome"]), (&json!("rejected"), &json!("processed")));
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_and_an_empty_one_means_none() {
    let service = Service::start().await;
    let json = [(CONTENT_TYPE.as_str(), "application/json"), (CONTENT_ENCODING.as_str(), "")];
    assert_eq!(send(&service, "/v1/records", &json, record("a").to_string()).await.status, 201);
    for coding in ["br", "gzip, gzip", "deflate"] {
        let json = [(CONTENT_TYPE.as_str(), "application/json"), (CONTENT_ENCODING.as_str(), coding)];
        let answer = send(&service, "/v1/records", &json, record("b").to_string()).await;
        answer.is_problem(415, "unsupported-media-type");
    }
    let broken = send_packed(&service, "/v1/records", "application/json", "not gzip").await;
    broken.is_problem(400, "not-json");
    // The rest of what was sent is read, so that the client sees the refusal.
    let large = vec![b'x'; 8_000_000];
    let broken = send_packed(&service, "/v1/records", "application/json", large).await;
    broken.is_problem(400, "not-json");
}

#[tokio::test]
async fn ndjson_goes_by_several_media_types() {
    let service = Service::start().await;
    for (i, media) in ["application/ndjson", "application/jsonl", "application/x-jsonlines"].into_iter().enumerate() {
        let line = format!("{}\n", record(&format!("r{i}")));
        let written = service.post("/v1/records/batch", media, line).await;
        assert_eq!((written.status, written.header("content-type")), (200, "application/x-ndjson"), "{media}");
        let request = service.client.get(service.url("/v1/records")).header(ACCEPT, media);
        let read = Response::of(request.send().await.unwrap()).await;
        assert_eq!(
            (read.header("content-type"), read.body.lines().count()),
            ("application/x-ndjson", i + 1),
            "{media}"
        );
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_passed_over() {
    let service = Service::start().await;
    let one = format!("\u{feff}{}", record("a"));
    assert_eq!(service.post("/v1/records", "application/json", one).await.status, 201);
    let array = format!("\u{feff}{}", json!([record("b")]));
    assert_eq!(service.post("/v1/records/batch", "application/json", array).await.json()["processed"], 1);
    let lines = format!("\u{feff}{}\n\u{feff}{}\n", record("c"), record("d"));
    let lines = service.post("/v1/records/batch", "application/x-ndjson", lines).await;
    let outcomes: Vec<Value> =
        lines.body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].clone()).collect();
    assert_eq!(outcomes, ["processed", "rejected"], "only at the beginning");
}

#[tokio::test]
async fn every_page_names_the_next_one_in_its_body_and_by_a_relative_link() {
    let service = Service::start().await;
    service.store_all(&various(10)).await;
    service.store_all(&[record("x")]).await;
    for path in ["/v1/records?limit=6", "/v1/aggregates?records=false&limit=5", "/v1/aggregates?limit=5"] {
        let first = service.get(path).await;
        let link = first.header("link").to_owned();
        assert!(
            link.starts_with("<?")
                && link.ends_with(&format!("cursor={}>; rel=\"next\"", first.json()["next"].as_str().unwrap())),
            "{link}"
        );
        let last = service.get(&first.next().unwrap()).await;
        assert_eq!((&last.json()["next"], last.header("link")), (&Value::Null, ""), "{path}");
    }
    let summaries = service.get("/v1/summaries/IAH").await;
    assert_eq!(summaries.json().get("next"), Some(&Value::Null));
}

#[tokio::test]
async fn streams_tell_proxies_not_to_buffer_them() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    for path in ["/v1/aggregates", "/v1/export", "/v1/alerts/stream", "/v1/notifications/stream"] {
        let response = service.client.get(service.url(path)).send().await.unwrap();
        assert_eq!(response.headers()["x-accel-buffering"], "no", "{path}");
    }
    let lines = service.post("/v1/records/batch", "application/x-ndjson", "").await;
    assert_eq!(lines.header("x-accel-buffering"), "no");
    assert_eq!(service.get("/v1/records").await.header("x-accel-buffering"), "");
}

fn event(id: &str, record: &Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "/test", "type": "test", "traceparent": TRACE, "data": record})
}

#[tokio::test]
async fn a_cloud_event_bears_a_record_and_its_own_id_is_not_the_record_s() {
    let service = Service::start().await;
    let media = "application/cloudevents+json";
    let first = service.post("/v1/records", media, event("1", &record("a")).to_string()).await;
    assert_eq!((first.status, &first.json()["recordId"]), (201, &json!("a")), "{first:?}");
    let again = service.post("/v1/records", media, event("2", &record("a")).to_string()).await;
    assert_eq!((again.status, &again.json()["outcome"]), (200, &json!("duplicate")), "{again:?}");
    let other = service.post("/v1/records", media, event("1", &record("b")).to_string()).await;
    assert_eq!(other.status, 201, "{other:?}");
    let messages = service.get("/v1/notifications").await.json();
    assert_eq!(messages["messages"][0]["traceparent"], TRACE);
    service.post("/v1/records", media, json!({"data": record("c")}).to_string()).await.is_problem(422, "rejected");
    service.post("/v1/records", media, "{").await.is_problem(400, "not-json");
    let batch = service.post("/v1/records/batch", media, event("1", &record("d")).to_string()).await;
    batch.is_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_batch_of_cloud_events_has_a_result_for_each() {
    let service = Service::start().await;
    let media = "application/cloudevents-batch+json";
    let events =
        json!([event("1", &record("a")), {"specversion": "1.0"}, event("1", &record("b")), event("9", &record("a"))]);
    let answer = service.post("/v1/records/batch", media, events.to_string()).await;
    let json = answer.json();
    assert_eq!(
        (&json["processed"], &json["rejected"], &json["duplicates"]),
        (&json!(2), &json!(1), &json!(1)),
        "{json}"
    );
    assert_eq!(json["results"][1]["outcome"], "rejected");
    let messages = service.get("/v1/notifications").await.json();
    assert_eq!(messages["messages"][1]["traceparent"], TRACE);
    service.post("/v1/records/batch", media, "{}").await.is_problem(422, "rejected");
    service.post("/v1/records", media, events.to_string()).await.is_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_cloud_event_may_be_headers_beside_its_record() {
    let service = Service::start().await;
    let mut headers = vec![
        (CONTENT_TYPE.as_str(), "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/test"),
        ("ce-type", "test"),
        ("ce-traceparent", TRACE),
    ];
    let answer = send(&service, "/v1/records", &headers, record("a").to_string()).await;
    assert_eq!((answer.status, &answer.json()["recordId"]), (201, &json!("a")), "{answer:?}");
    let messages = service.get("/v1/notifications").await.json();
    assert_eq!(messages["messages"][0]["traceparent"], TRACE);
    headers[1].1 = "0.3";
    send(&service, "/v1/records", &headers, record("b").to_string()).await.is_problem(422, "rejected");
}

#[tokio::test]
async fn a_byte_order_mark_counts_towards_no_limit() {
    let service = Service::start().await;
    let padded = |id: &str, len: usize| {
        let json = record(id).to_string();
        format!("\u{feff}{json}{}", " ".repeat(len - json.len()))
    };
    let json = [("content-type", "application/json")];
    assert_eq!(send(&service, "/v1/records", &json, padded("a", 65_536)).await.status, 201);
    send(&service, "/v1/records", &json, padded("b", 65_537)).await.is_problem(413, "too-large");
    send(&service, "/v1/records", &json, padded("b", 65_540)).await.is_problem(413, "too-large");
    let unmarked = padded("b", 65_537).replace('\u{feff}', "");
    send(&service, "/v1/records", &json, unmarked).await.is_problem(413, "too-large");
    let lines = [("content-type", "application/x-ndjson")];
    let outcome = async |body: String| {
        let answer = send(&service, "/v1/records/batch", &lines, body).await;
        serde_json::from_str::<Value>(&answer.body).unwrap()["outcome"].clone()
    };
    assert_eq!(outcome(padded("c", 65_536)).await, "processed");
    assert_eq!(outcome(format!("{}\r\n", padded("d", 65_536))).await, "processed");
    assert_eq!(outcome(padded("e", 65_537)).await, "rejected");
}

#[tokio::test]
async fn an_event_in_headers_without_its_version_is_refused_and_keeps_nothing_back() {
    let service = Service::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("content-type", "application/json"), ("ce-traceparent", trace), ("ce-id", "1")];
    let answer = send(&service, "/v1/records", &headers, record("a").to_string()).await;
    answer.is_problem(422, "rejected");
    let errors = answer.json()["errors"].clone();
    let pointers: Vec<&str> =
        errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/specversion", "/source", "/type"]);
    assert_eq!(service.get("/v1/records/a").await.status, 404);
}
