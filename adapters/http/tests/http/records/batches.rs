//! Batches as JSON arrays.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::support::service::{Plan, Response, Service, record};

async fn post(service: &Service, query: &str, body: impl Into<reqwest::Body>) -> Response {
    service.post(&format!("/v1/records/batch{query}"), "application/json", body).await
}

/// A record of each outcome, after `a` has been processed: processed, duplicate, conflict, rejected.
fn one_of_each() -> Value {
    let mut conflict = record("a");
    conflict["value"] = json!("12");
    let mut rejected = record("r");
    rejected["unit"] = json!("");
    json!([record("b"), record("a"), conflict, rejected, 17, record("c")])
}

#[tokio::test]
async fn each_record_has_its_result_in_its_place() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    let answer = post(&service, "", one_of_each().to_string()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let json = answer.json();
    let counts = ["processed", "duplicates", "conflicts", "rejected"].map(|name| json[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1, 2]);
    let results = json["results"].as_array().unwrap();
    let outcomes: Vec<&str> = results.iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["processed", "duplicate", "conflict", "rejected", "rejected", "processed"]);
    let indices: Vec<u64> = results.iter().map(|result| result["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5]);
    assert_eq!(results[2]["error"]["type"], "urn:tallyhouse:problem:conflict");
    assert_eq!(results[2]["error"]["differs"], json!(["value"]));
    assert_eq!(results[3]["recordId"], "r");
    assert_eq!(results[3]["error"]["status"], 422);
    assert_eq!(results[3]["error"]["errors"][0]["pointer"], "/unit");
    assert_eq!(results[4]["recordId"], Value::Null);
    assert_eq!(results[5]["sequence"], 3);
    assert_eq!(results[5]["previous"]["count"], 2);
}

#[tokio::test]
async fn the_results_of_good_records_can_be_left_out() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    let answer = post(&service, "?results=failed", one_of_each().to_string()).await;
    assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "it need not be streamed");
    let json = answer.json();
    assert_eq!((&json["processed"], &json["duplicates"]), (&json!(2), &json!(1)));
    let indices: Vec<u64> =
        json["results"].as_array().unwrap().iter().map(|result| result["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [2, 3, 4]);
    post(&service, "?results=some", "[]").await.is_problem(400, "bad-parameter");
    post(&service, "?other=1", "[]").await.is_problem(400, "bad-parameter");
}

#[tokio::test]
async fn an_empty_batch_is_a_batch() {
    let service = Service::start().await;
    let json = post(&service, "", " [ ] ").await.json();
    assert_eq!(json, json!({ "processed": 0, "duplicates": 0, "conflicts": 0, "rejected": 0, "results": [] }));
}

#[tokio::test]
async fn ten_thousand_records_are_taken_and_one_more_is_refused_whole() {
    let service = Service::start().await;
    let mut records: Vec<Value> = (0..10_000).map(|i| record(&format!("r{i}"))).collect();
    let json = post(&service, "", json!(records).to_string()).await.json();
    assert_eq!(json["processed"], 10_000);
    let sequences = json["results"].as_array().unwrap().iter().map(|result| result["sequence"].as_u64().unwrap());
    assert!(sequences.eq(1..=10_000), "records of a batch are processed in their order");

    records.iter_mut().for_each(|record| record["recordId"] = json!(format!("new-{}", record["recordId"])));
    records.push(record("one more"));
    post(&service, "", json!(records).to_string()).await.is_problem(413, "too-large");
    service.get("/v1/records/one%20more").await.is_problem(404, "not-found");
    assert_eq!(service.get("/v1/summaries/IAH").await.json()["summaries"][0]["sequence"], 10_000);
}

#[tokio::test]
async fn sixteen_mebibytes_are_taken_and_a_byte_more_is_refused_whole() {
    let service = Service::start().await;
    let json = json!([record("a")]).to_string();
    let padded = |len: usize| format!("{json}{}", " ".repeat(len - json.len()));
    let chunked = |text: String| reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(text)]));
    let max = 16 * 1024 * 1024;
    post(&service, "", padded(max + 1)).await.is_problem(413, "too-large");
    post(&service, "", chunked(padded(max + 1))).await.is_problem(413, "too-large");
    service.get("/v1/records/a").await.is_problem(404, "not-found");
    assert_eq!(post(&service, "", padded(max)).await.json()["processed"], 1);
    assert_eq!(post(&service, "", chunked(padded(max))).await.json()["duplicates"], 1);
}

#[tokio::test]
async fn what_is_no_array_of_json_is_refused_whole() {
    let service = Service::start().await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for body in ["", "[", "[{]", "{}{}", &deep] {
        post(&service, "", body.to_owned()).await.is_problem(400, "not-json");
    }
    for body in ["{}", "1", "null", "\"[]\""] {
        post(&service, "", body).await.is_problem(422, "rejected");
    }
}

#[tokio::test]
async fn a_batch_must_say_what_it_is() {
    let service = Service::start().await;
    let unsaid = service.client.post(service.url("/v1/records/batch")).body("[]").send().await.unwrap();
    Response::of(unsaid).await.is_problem(415, "unsupported-media-type");
    service.post("/v1/records/batch", "text/csv", "[]").await.is_problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn storage_that_fails_on_the_way_is_unavailable_and_the_repeat_is_safe() {
    let service = Service::start().await;
    service.store.commits_left.store(2, Ordering::SeqCst);
    let records: Vec<Value> = (0..5_000).map(|i| record(&format!("r{i}"))).collect();
    post(&service, "", json!(records).to_string()).await.is_problem(503, "unavailable");
    service.store.commits_left.store(1_000, Ordering::SeqCst);
    service.recovers().await;
    let json = post(&service, "?results=failed", json!(records).to_string()).await.json();
    let counts = ["processed", "duplicates", "conflicts", "rejected"].map(|name| json[name].as_u64().unwrap());
    assert_eq!(counts, [3_000, 2_000, 0, 0]);
}

#[tokio::test]
async fn batches_beyond_the_room_for_their_bodies_wait_their_turn() {
    let mut plan = Plan::default();
    plan.http.batch_bytes_max = 64 * 1024;
    plan.http.batch_buffer_bytes_max = 64 * 1024;
    let service = plan.start().await;
    service.store.shut_gate();
    let body = |id: &str| {
        let json = json!([record(id)]).to_string();
        format!("{json}{}", " ".repeat(40_000 - json.len()))
    };
    let send = |id: &str| {
        service
            .client
            .post(service.url("/v1/records/batch"))
            .header("content-type", "application/json")
            .body(body(id))
            .send()
    };
    let (first, second) = (tokio::spawn(send("a")), tokio::spawn(send("b")));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(service.pipeline.depth() <= 1, "only one has been read");
    service.store.gate.add_permits(10);
    for sent in [first, second] {
        assert_eq!(Response::of(sent.await.unwrap().unwrap()).await.json()["processed"], 1);
    }
}

/// A record of a key with a hundred long units, by number.
pub(crate) fn heavy(n: usize) -> Value {
    let mut heavy = record(&format!("r{n:05}"));
    heavy["unit"] = json!(format!("{:x>64}", n % 100));
    heavy
}

#[tokio::test]
async fn results_beyond_their_room_are_read_again_and_are_the_same() {
    let (whole, again) = (Service::start().await, Plan::default());
    let mut again = again;
    again.http.result_buffer_bytes_max = 1;
    let again = again.start().await;
    let mut records: Vec<Value> = (0..2_500).map(heavy).collect();
    records.extend([json!(17), heavy(7)]);
    let array = json!(records).to_string();
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    for query in ["", "?results=failed"] {
        let mut answers = Vec::new();
        for service in [&whole, &again] {
            let mut answer = post(service, query, array.clone()).await.json();
            let results = answer["results"].as_array_mut().unwrap();
            results.iter_mut().for_each(|result| drop(result["processedAt"].take()));
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1]);
    }
    // Of 2,501 results the first has room. A page of them ends where one is no processed record's.
    let pages = again.store.found_together.load(Ordering::SeqCst);
    assert!((10..=12).contains(&pages), "they are read in {pages} pages");
    let (first, second) = (Service::start().await, again);
    let mut answers = Vec::new();
    for service in [&first, &second] {
        let new = lines.replace("\"r0", "\"new-0").replace("\"IAH\"", "\"D\"");
        let answer = service.post("/v1/records/batch", "application/x-ndjson", new).await;
        let mut results: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        results.iter_mut().for_each(|result| drop(result["processedAt"].take()));
        assert_eq!(results.len(), records.len());
        assert_eq!(results[2_499]["previous"]["totals"].as_array().map(Vec::len), Some(100));
        answers.push(results);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_batch_that_was_written_is_answered_even_without_room_for_its_large_results() {
    let mut plan = Plan::default();
    plan.http.response_buffer_bytes_max = 0;
    let service = plan.start().await;
    let records: Vec<Value> = (0..1_000).map(heavy).collect();
    let answer = post(&service, "", json!(records).to_string()).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, ""));
    assert_eq!(answer.json()["results"].as_array().map(Vec::len), Some(1_000));
    service.get("/v1/records?limit=1000").await.is_problem(503, "overloaded");
}

#[tokio::test]
async fn large_results_are_streamed_and_a_client_that_reads_slowly_holds_bounded_memory() {
    let mut plan = Plan::default();
    plan.http.result_buffer_bytes_max = 100 * 1024;
    let service = plan.start().await;
    let records: Vec<Value> = (0..1_000).map(heavy).collect();
    let answer = post(&service, "", json!(records).to_string()).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, ""));
    assert!(
        answer.body.starts_with("{\"processed\":1000,\"duplicates\":0,\"conflicts\":0,\"rejected\":0,\"results\":[")
    );
    assert_eq!(answer.json()["results"].as_array().map(Vec::len), Some(1_000));
    // A store that fails as results are read again breaks the answer off.
    service.store.finds_left.store(3, Ordering::SeqCst);
    let records: Vec<Value> = (1_000..2_000).map(heavy).collect();
    let request = service.client.post(service.url("/v1/records/batch")).header("content-type", "application/json");
    let broken = match request.body(json!(records).to_string()).send().await {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken, "never a well-formed short answer");
}
