//! Batches as lines: a conversation.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tallyhouse_http::HttpSettings;

use crate::support::raw::Raw;
use crate::support::service::{Plan, Service, record};

const HEAD: &str = "POST /v1/records/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n";

async fn post(service: &Service, query: &str, body: impl Into<reqwest::Body>) -> Vec<Value> {
    let answer = service.post(&format!("/v1/records/batch{query}"), "application/x-ndjson", body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn each_line_that_is_not_blank_has_its_result() {
    let service = Service::start().await;
    let mut conflict = record("a");
    conflict["unit"] = json!("hour");
    let long = "x".repeat(64 * 1024 + 1);
    let (a, b) = (record("a"), record("b"));
    let body = format!("{a}\n\n  \t\r\n{a}\r\n{conflict}\n{{\n{long}\n17\n{b}");
    let results = post(&service, "", body).await;
    let outcomes: Vec<&str> = results.iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["processed", "duplicate", "conflict", "rejected", "rejected", "rejected", "processed"]);
    let indices: Vec<u64> = results.iter().map(|result| result["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6]);
    let codes: Vec<&Value> = results[2..6].iter().map(|result| &result["error"]["type"]).collect();
    let code = |name: &str| json!(format!("urn:tallyhouse:problem:{name}"));
    assert_eq!(codes, [&code("conflict"), &code("not-json"), &code("too-large"), &code("rejected")]);
    assert_eq!(results[4]["recordId"], Value::Null);
    assert_eq!(results[6]["sequence"], 2);
}

#[tokio::test]
async fn a_line_may_be_as_long_as_allowed() {
    let service = Service::start().await;
    let json = record("a").to_string();
    let padded = format!("{json}{}", " ".repeat(64 * 1024 - json.len()));
    assert_eq!(post(&service, "", format!("{padded}\r\n")).await[0]["outcome"], "processed");
    assert_eq!(post(&service, "", format!("{padded} \n")).await[0]["outcome"], "rejected");
    assert_eq!(post(&service, "", "x".repeat(5_000_000)).await[0]["error"]["status"], 413);
}

#[tokio::test]
async fn nothing_sent_is_nothing_answered() {
    let service = Service::start().await;
    assert_eq!(post(&service, "", "").await, Vec::<Value>::new());
    assert_eq!(post(&service, "", "\n\n").await, Vec::<Value>::new());
    let none = json!({ "processed": 0, "duplicates": 0, "conflicts": 0, "rejected": 0 });
    assert_eq!(post(&service, "?results=failed", "").await, [none]);
}

#[tokio::test]
async fn only_failures_and_the_counts_are_answered_where_that_is_asked_for() {
    let service = Service::start().await;
    let (a, b) = (record("a"), record("b"));
    let results = post(&service, "?results=failed", format!("{a}\n{a}\n!\n{b}\n")).await;
    assert_eq!(results.len(), 2);
    assert_eq!((&results[0]["index"], &results[0]["outcome"]), (&json!(2), &json!("rejected")));
    assert_eq!(results[1], json!({ "processed": 2, "duplicates": 1, "conflicts": 0, "rejected": 1 }));
}

#[tokio::test]
async fn each_line_is_answered_before_the_next_is_sent() {
    let service = Service::start().await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}\r\n")).await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "the answer begins before the body: {head}");
    for i in 0..3 {
        let line = format!("{}\n", record(&format!("r{i}")));
        let (first, second) = line.split_at(20);
        raw.send(chunk(first)).await;
        raw.send(chunk(second)).await;
        let result = raw.until("}\n").await;
        assert!(
            result.contains(&format!("\"recordId\":\"r{i}\",\"outcome\":\"processed\",\"sequence\":{}", i + 1)),
            "{result}"
        );
    }
    raw.send("0\r\n\r\n").await;
    raw.until("0\r\n\r\n").await;
    // The connection is as good as new.
    raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(raw.answer().await.0.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_client_that_waits_to_be_invited_is_invited() {
    let service = Service::start().await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}expect: 100-continue\r\n\r\n")).await;
    let invitation = raw.until("\r\n\r\n").await;
    assert!(invitation.starts_with("HTTP/1.1 100 Continue"), "{invitation}");
    raw.send(format!("{}0\r\n\r\n", chunk(&record("a").to_string()))).await;
    let answer = raw.until("\r\n0\r\n\r\n").await;
    assert!(answer.contains("\"outcome\":\"processed\""), "{answer}");
}

#[tokio::test]
async fn lines_are_processed_in_their_order_across_chunks() {
    let mut plan = Plan::default();
    plan.pipeline.writers = 4;
    plan.pipeline.batch_records_max = 10;
    let service = plan.start().await;
    let mut body = String::new();
    for i in 0..2_000 {
        writeln!(body, "{}", record(&format!("r{}", i % 1_000))).unwrap();
    }
    let results = post(&service, "", body).await;
    assert_eq!(results.len(), 2_000);
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result["outcome"], if i < 1_000 { "processed" } else { "duplicate" }, "{i}");
        assert_eq!(result["sequence"], i % 1_000 + 1);
    }
}
#[tokio::test]
async fn storage_that_fails_on_the_way_breaks_the_connection() {
    let service = Service::start().await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}\r\n{}", chunk(&format!("{}\n", record("a"))))).await;
    raw.until("}\n").await;
    service.store.unavailable.store(true, Ordering::SeqCst);
    raw.send(chunk(&format!("{}\n", record("b")))).await;
    let rest = raw.rest().await;
    assert!(!rest.contains("0\r\n\r\n") && !rest.contains("outcome"), "{rest:?}");

    service.store.unavailable.store(false, Ordering::SeqCst);
    service.recovers().await;
    let results = post(&service, "", format!("{}\n{}\n", record("a"), record("b"))).await;
    assert_eq!((&results[0]["outcome"], &results[1]["outcome"]), (&json!("duplicate"), &json!("processed")));
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_the_answer() {
    let service = Service::start().await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}\r\n{}not a chunk\r\n", chunk(&format!("{}\n", record("a"))))).await;
    let answer = raw.rest().await;
    assert!(!answer.contains("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn a_conversation_in_which_nobody_moves_is_cut() {
    let settings = HttpSettings { stall_timeout: Duration::from_millis(200), ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}\r\n{}", chunk(&record("a").to_string()))).await;
    let answer = raw.rest().await;
    assert!(!answer.contains("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn slow_storage_cuts_no_conversation() {
    let settings = HttpSettings { stall_timeout: Duration::from_millis(100), ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    service.store.shut_gate();
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}\r\n{}", chunk(&format!("{}\n", record("a"))))).await;
    raw.until("\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    service.store.gate.add_permits(10);
    assert!(raw.until("}\n").await.contains("processed"));
}

#[tokio::test]
async fn a_client_that_reads_no_answers_is_cut() {
    let settings = HttpSettings { stall_timeout: Duration::from_millis(300), ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    service.post_record(&record("r")).await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{HEAD}\r\n")).await;
    let block = chunk(&format!("{}\n", record("r")).repeat(200));
    let sending = async {
        use tokio::io::AsyncWriteExt;
        while raw.socket.write_all(block.as_bytes()).await.is_ok() {}
    };
    let cut = tokio::time::timeout(Duration::from_secs(20), sending).await;
    assert!(cut.is_ok(), "a client that never reads may send for ever");
}

#[tokio::test]
async fn a_wrong_parameter_is_refused_before_the_conversation() {
    let service = Service::start().await;
    let answer = service.post("/v1/records/batch?results=all", "application/x-ndjson", "").await;
    answer.is_problem(400, "bad-parameter");
}
