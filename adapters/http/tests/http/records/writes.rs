//! One record by `POST /v1/records`.

use std::sync::atomic::Ordering;

use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};

use crate::support::service::{Plan, Response, Service, record};

#[tokio::test]
async fn a_record_is_processed_once_and_then_a_duplicate() {
    let service = Service::start().await;
    let first = service.post_record(&record("a")).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("x-content-type-options"), "nosniff");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let json = first.json();
    assert_eq!(json["recordId"], "a");
    assert_eq!(json["outcome"], "processed");
    assert_eq!(json["sequence"], 1);
    assert_eq!(json["previous"], json!({ "count": 0, "firstTime": null, "lastTime": null, "totals": [] }));
    assert_eq!(json["alerts"], json!([]));

    let again = service.post_record(&record("a")).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let expect = json!({ "recordId": "a", "outcome": "duplicate", "sequence": 1, "processedAt": json["processedAt"] });
    assert_eq!(again.json(), expect);
}

#[tokio::test]
async fn the_second_record_of_a_key_tells_of_the_first_and_names_its_alerts() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    let mut large = record("b");
    large["value"] = json!("1000.5");
    let json = service.post_record(&large).await.json();
    assert_eq!(json["sequence"], 2);
    assert_eq!(json["previous"]["count"], 1);
    assert_eq!(json["previous"]["totals"][0]["net"], "11");
    assert_eq!(json["alerts"], json!(["large"]));
}

#[tokio::test]
async fn a_conflict_names_the_fields_that_differ() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    let mut other = record("a");
    other["value"] = json!("12");
    other["unit"] = json!("hour");
    let answer = service.post_record(&other).await;
    answer.is_problem(409, "conflict");
    let json = answer.json();
    assert_eq!(json["recordId"], "a");
    assert_eq!(json["outcome"], "conflict");
    assert_eq!(json["differs"], json!(["value", "unit"]));
}

#[tokio::test]
async fn a_rejected_record_names_every_broken_field() {
    let service = Service::start().await;
    let mut bad = record("a");
    bad["value"] = json!(-1);
    bad["time"] = json!("now");
    let answer = service.post_record(&bad).await;
    answer.is_problem(422, "rejected");
    let json = answer.json();
    assert_eq!(json["recordId"], "a");
    assert_eq!(json["outcome"], "rejected");
    let pointers: Vec<&Value> = json["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/time", "/value"]);

    bad["recordId"] = json!("");
    assert_eq!(service.post_record(&bad).await.json()["recordId"], Value::Null);
    for json in ["[]", "null", "1", "\"a\""] {
        service.post("/v1/records", "application/json", json).await.is_problem(422, "rejected");
    }
}

#[tokio::test]
async fn what_is_not_json_is_told_so() {
    let service = Service::start().await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies: [&[u8]; 7] =
        [b"", b"{", b"{\"recordId\":\"\xff\"}", b"nul", b"{}{}", br#"{"a":"\ud800"}"#, deep.as_bytes()];
    for body in bodies {
        service.post("/v1/records", "application/json", body.to_vec()).await.is_problem(400, "not-json");
    }
}

#[tokio::test]
async fn a_body_may_be_as_large_as_allowed_and_no_larger() {
    let service = Service::start().await;
    let padded = |id: &str, len: usize| {
        let json = record(id).to_string();
        format!("{json}{}", " ".repeat(len - json.len()))
    };
    let chunked = |text: String| reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(text)]));
    let max = 64 * 1024;
    assert_eq!(service.post("/v1/records", "application/json", padded("a", max)).await.status, 201);
    assert_eq!(service.post("/v1/records", "application/json", chunked(padded("b", max))).await.status, 201);
    service.post("/v1/records", "application/json", padded("c", max + 1)).await.is_problem(413, "too-large");
    let large = chunked(padded("d", max + 1));
    service.post("/v1/records", "application/json", large).await.is_problem(413, "too-large");
    assert_eq!(service.get("/v1/records/c").await.status, 404);
    assert_eq!(service.get("/v1/records/d").await.status, 404);
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_still_reads_why() {
    let service = Service::start().await;
    for path in ["/v1/records", "/v1/records/batch"] {
        let answer = service.post(path, "application/json", vec![b' '; 20 * 1024 * 1024]).await;
        answer.is_problem(413, "too-large");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_not_read_and_one_of_none_is_taken_for_json() {
    let service = Service::start().await;
    for content_type in ["text/plain", "application/x-ndjson", "application/json; charset=latin1"] {
        let answer = service.post("/v1/records", content_type, record("a").to_string()).await;
        answer.is_problem(415, "unsupported-media-type");
    }
    let request = service.client.post(service.url("/v1/records")).body(record("a").to_string());
    assert_eq!(request.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_write_takes_no_parameters() {
    let service = Service::start().await;
    let answer = service.post("/v1/records?results=failed", "application/json", record("a").to_string()).await;
    answer.is_problem(400, "bad-parameter");
}

#[tokio::test]
async fn a_trace_context_is_handed_on_where_it_is_valid() {
    let service = Service::start().await;
    let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (id, trace) in [("a", valid), ("b", "nonsense")] {
        let request = service.client.post(service.url("/v1/records")).header(CONTENT_TYPE, "application/json");
        let request = request.header(HeaderName::from_static("traceparent"), trace).body(record(id).to_string());
        assert_eq!(Response::of(request.send().await.unwrap()).await.status, 201);
    }
    let messages = service.get("/v1/notifications").await.json();
    assert_eq!(messages["messages"][0]["traceparent"], valid);
    assert_eq!(messages["messages"][1].get("traceparent"), None);
}

#[tokio::test]
async fn storage_that_is_unavailable_is_unavailable_and_nothing_is_shown_of_it() {
    let service = Service::start().await;
    service.store.unavailable.store(true, Ordering::SeqCst);
    service.post_record(&record("a")).await.is_problem(503, "unavailable");
    service.store.unavailable.store(false, Ordering::SeqCst);
    service.recovers().await;
}

#[tokio::test]
async fn a_full_intake_is_overload() {
    let mut plan = Plan::default();
    plan.pipeline.intake_records_max = 1;
    plan.pipeline.commit_retry_timeout = std::time::Duration::from_secs(30);
    let service = plan.start().await;
    service.store.shut_gate();
    let first = service.client.post(service.url("/v1/records")).body(record("a").to_string()).send();
    let first = tokio::spawn(first);
    // Once the first is being committed, one more waits, and then there is no room.
    let mut overloaded = None;
    let mut waiting = Vec::new();
    for i in 0..200 {
        let request = service.client.post(service.url("/v1/records")).body(record(&format!("w{i}")).to_string());
        let mut sent = tokio::spawn(request.send());
        match tokio::time::timeout(std::time::Duration::from_millis(100), &mut sent).await {
            Ok(answer) => {
                overloaded = Some(Response::of(answer.unwrap().unwrap()).await);
                break;
            }
            Err(_waits) => waiting.push(sent),
        }
    }
    overloaded.expect("there is always room").is_problem(503, "overloaded");
    service.store.gate.add_permits(100);
    assert_eq!(first.await.unwrap().unwrap().status(), 201);
    for sent in waiting {
        assert_eq!(sent.await.unwrap().unwrap().status(), 201);
    }
}

#[tokio::test]
async fn a_closed_pipeline_is_unavailable() {
    let service = Service::start().await;
    service.pipeline.close();
    service.post_record(&record("a")).await.is_problem(503, "unavailable");
}
