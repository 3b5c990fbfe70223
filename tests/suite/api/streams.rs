//! Many records as NDJSON: streamed both ways, any number of lines, in bounded memory.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::check_problem;
use tallyhouse_tests::clients::lines;
use tallyhouse_tests::data::records::{many, ndjson, nth, record, record_with};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

fn outcomes(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["outcome"].as_str().expect("an outcome")).collect()
}

#[test]
fn each_line_that_is_not_blank_has_one_result_in_order() {
    let service = Service::start();
    let body = format!(
        "{}\n\n   \r\n{}\r\nnot json\n\t\n{}\n7\n\u{feff}\n{}",
        record("a"),
        record("a"),
        record_with("a", json!({"value": "1"})),
        record("last-without-line-end"),
    );
    let results = service.http().lines("", body);
    #[rustfmt::skip]
    assert_eq!(outcomes(&results), ["processed", "duplicate", "rejected", "conflict", "rejected", "rejected", "processed"]);
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result["index"], i, "{result}");
    }
    check_problem(&results[2]["error"], 400, "not-json");
    check_problem(&results[3]["error"], 409, "conflict");
    check_problem(&results[4]["error"], 422, "rejected");
    assert_eq!(results[2]["recordId"], Value::Null);
}

#[test]
fn the_answer_is_ndjson_and_may_be_empty() {
    let service = Service::start();
    for body in ["", "\n", " \n\r\n\n"] {
        let answer = service.http().post_as("application/x-ndjson", "/v1/records/batch", body).expect_status(200);
        assert_eq!(answer.text(), "");
        let media_type = answer.header("content-type").unwrap_or_default();
        assert!(media_type.starts_with("application/x-ndjson"), "{media_type}");
    }
}

#[test]
fn a_result_comes_before_the_body_ends() {
    let service = Service::start();
    let mut sender = lines::open(service.address(), "");
    sender.line(&record("a").to_string()).expect("sent");
    let mut results = sender.results().expect("an answer while the body is still open");
    let first = results.next_result().expect("read").expect("a result");
    assert_eq!(first["outcome"], "processed");
    assert_eq!(service.http().get("/v1/records/a").status, 200, "a result means: committed");
    for i in 0..50 {
        sender.line(&nth("r", i).to_string()).expect("sent");
        let result = results.next_result().expect("read").expect("a result");
        assert_eq!(result["recordId"], format!("r-{i:06}"));
    }
    sender.end().expect("sent");
    assert!(results.next_result().expect("read").is_none());
}

#[test]
fn a_line_may_arrive_in_pieces() {
    let service = Service::start();
    let mut sender = lines::open(service.address(), "");
    let body = format!("{}\n{}\n", record_with("ä", json!({"reference": "é𝔘"})), record("b"));
    for byte in body.as_bytes().chunks(1) {
        sender.bytes(byte).expect("sent");
    }
    sender.end().expect("sent");
    let results = sender.results().expect("an answer").until_the_end();
    assert_eq!(outcomes(&results), ["processed", "processed"]);
    assert_eq!(results[0]["recordId"], "ä");
}

#[test]
fn a_line_over_64_kib_is_rejected_and_reading_goes_on() {
    let service = Service::start();
    let sized = |id: &str, bytes: usize| {
        let bare = record_with(id, json!({"note": ""})).to_string();
        record_with(id, json!({"note": "x".repeat(bytes - bare.len())})).to_string()
    };
    let body = format!(
        "{}\n{}\n{}\n{}\n",
        sized("fits", 65_536),
        sized("over", 65_537),
        "z".repeat(5_000_000),
        record("after")
    );
    let results = service.http().lines("", body);
    assert_eq!(outcomes(&results), ["processed", "rejected", "rejected", "processed"]);
    check_problem(&results[1]["error"], 413, "too-large");
    check_problem(&results[2]["error"], 413, "too-large");
    assert_eq!(results[3]["recordId"], "after");
}

#[test]
fn failed_results_alone_end_with_the_four_counts() {
    let service = Service::start();
    let http = service.http();
    let mut sent = many("r", 500);
    sent.push(record("r-000001"));
    sent.push(nth("r", 7));
    let body = format!("{}oops\n", ndjson(&sent));
    let results = http.lines("?results=failed", body);
    assert_eq!(results.len(), 3);
    assert_eq!((&results[0]["outcome"], &results[0]["index"]), (&json!("conflict"), &json!(500)));
    assert_eq!((&results[1]["outcome"], &results[1]["index"]), (&json!("rejected"), &json!(502)));
    assert_eq!(results[2], json!({"processed": 500, "duplicates": 1, "conflicts": 1, "rejected": 1}));
    let none = http.lines("?results=failed", "");
    assert_eq!(none, [json!({"processed": 0, "duplicates": 0, "conflicts": 0, "rejected": 0})]);
}

#[test]
fn there_is_no_limit_on_the_lines() {
    const LINES: usize = 30_000;
    let service = Service::start();
    let results = service.http().lines("?results=failed", ndjson(&many("r", LINES)));
    assert_eq!(results, [json!({"processed": LINES, "duplicates": 0, "conflicts": 0, "rejected": 0})]);
    let totals = service.http().get("/v1/aggregates?records=false").json();
    let counted: u64 = totals["groups"].as_array().expect("a list").iter().filter_map(|g| g["count"].as_u64()).sum();
    assert_eq!(counted, LINES as u64);
}

/// A client that sends without end and never reads must not be stored up: the service stops reading, and cuts.
#[test]
fn a_client_that_never_reads_is_cut_and_its_records_bounded() {
    let options = Options::new().env("TALLYHOUSE_HTTP__STALL_TIMEOUT_MS", "2000");
    let service = Service::start_with(options);
    let mut sender = lines::open(service.address(), "");
    let line = record_with("x", json!({"value": "bad"})).to_string();
    let block = format!("{line}\n").repeat(200);
    let before = service.memory_kib();
    let mut sent = 0_usize;
    // Blocks as soon as every buffer between the two is full, until the service cuts the connection or the socket's
    // own time-out strikes.
    while sent < 300_000_000 && sender.bytes(block.as_bytes()).is_ok() {
        sent += block.len();
    }
    assert!(sent < 300_000_000, "the service took everything of a client that reads nothing");
    let grown = service.memory_kib().saturating_sub(before);
    assert!(grown < 60_000, "the service grew by {grown} KiB");
    assert_eq!(service.http().record(&record("still-there")).status, 201);
}

#[test]
fn a_body_that_breaks_off_leaves_what_was_answered_and_can_be_repeated() {
    let service = Service::start();
    let http = service.http();
    let sent = many("r", 400);
    let mut sender = lines::open(service.address(), "");
    for record in &sent[..200] {
        sender.line(&record.to_string()).expect("sent");
    }
    sender.bytes(&sent[200].to_string().as_bytes()[..40]).expect("sent");
    let mut results = sender.results().expect("an answer");
    let answered: Vec<Value> = (0..200).map(|_| results.next_result().expect("read").expect("a result")).collect();
    assert!(answered.iter().all(|result| result["outcome"] == "processed"));
    sender.break_off().expect("closed");
    // What was half sent was never a record.
    let rest = results.until_the_end();
    assert!(rest.iter().all(|result| result["outcome"] == "rejected"), "{rest:?}");
    drop(sender);
    http.get("/v1/records/r-000200").problem(404, "not-found");
    let again = http.lines("?results=failed", ndjson(&sent));
    assert_eq!(again, [json!({"processed": 200, "duplicates": 200, "conflicts": 0, "rejected": 0})]);
}

#[test]
fn an_open_stream_does_not_hold_up_others() {
    let service = Service::start();
    let mut sender = lines::open(service.address(), "");
    sender.line(&record("open").to_string()).expect("sent");
    let mut results = sender.results().expect("an answer");
    assert!(results.next_result().expect("read").is_some());
    let http = service.http();
    for i in 0..20 {
        assert_eq!(http.record(&nth("r", i)).status, 201);
    }
    sender.line(&record("again").to_string()).expect("sent");
    assert_eq!(results.next_result().expect("read").expect("a result")["outcome"], "processed");
}

#[test]
fn a_body_that_stalls_is_not_held_for_ever_once_the_service_stops() {
    let mut service = Service::start();
    let mut sender = lines::open(service.address(), "");
    sender.line(&record("open").to_string()).expect("sent");
    let mut results = sender.results().expect("an answer");
    assert!(results.next_result().expect("read").is_some());
    service.ask_to_stop();
    let (code, took) = service.ended();
    assert_eq!(code, Some(0));
    assert!(took < wait::PATIENCE);
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).expect("memory");
    gz.finish().expect("memory")
}

#[test]
fn a_malformed_gzip_of_lines_breaks_the_answer_off_and_is_logged_and_counted() {
    let service = Service::start();
    let whole = packed(ndjson(&many("r", 3)).as_bytes());
    let mut changed = whole.clone();
    let sum = changed.len() - 8;
    changed[sum] ^= 1;
    let cases = [&b"not gzip"[..], &whole[..whole.len() / 2], &changed];
    for body in cases {
        let request = service.http().request("POST", "/v1/records/batch?results=failed");
        let request = request.header("content-type", "application/x-ndjson").header("content-encoding", "gzip");
        let answer = tallyhouse_tests::clients::http::try_send(request.body(body.to_vec()));
        assert!(answer.is_err(), "{answer:?}");
    }
    let rejected = r#"tallyhouse_records_total{ingress="http",outcome="rejected"} 3"#;
    wait::until("the count", || service.http().get("/metrics").text().contains(rejected).then_some(()));
    let lines = || service.log().lines().filter(|line| line.contains("gzip is malformed")).count();
    wait::until("the line", || (lines() > 0).then_some(()));
    assert_eq!(lines(), 1, "one in ten seconds: {}", service.log());
}

#[test]
fn a_gzip_body_is_unpacked_and_an_unknown_coding_refused_not_guessed() {
    let service = Service::start();
    let packed = packed(record("a").to_string().as_bytes());
    let send_as = |coding: &str| {
        let request = service.http().request("POST", "/v1/records");
        let request = request.header("content-type", "application/json").header("content-encoding", coding);
        tallyhouse_tests::clients::http::send(request.body(packed.clone()).timeout(Duration::from_secs(20)))
    };
    for coding in ["br", "gzip, br", "x-unheard-of"] {
        let answer = send_as(coding).expect_status(415);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    send_as("gzip").expect_status(201);
    assert_eq!(service.http().record(&record("a")).status, 200, "it is the record that was packed");
}

/// Sends 500 lines as often as said while their results are read, and returns the most memory that the service has had
/// by then, in KiB.
#[track_caller]
fn memory_after(service: &Service, blocks: usize) -> u64 {
    let sender = lines::open(service.address(), "");
    let mut sending = sender.sending_half().expect("the connection can be shared");
    let block = format!("{}\n", record("r")).repeat(500);
    let sent = std::thread::spawn(move || {
        (0..blocks).try_for_each(|_| sending.bytes(block.as_bytes())).and_then(|()| sending.end())
    });
    let mut results = sender.results().expect("the service answers");
    let mut lines = 0;
    while results.next_result().expect("the answer does not break off").is_some() {
        lines += 1;
    }
    sent.join().expect("sending does not panic").expect("the service reads");
    assert_eq!(lines, 500 * blocks);
    service.memory_kib()
}

#[test]
fn six_hundred_thousand_lines_pass_in_bounded_memory() {
    let service = Service::start();
    // What the intake, the batches and the allocator hold is there by then, some 70 MiB.
    let before = memory_after(&service, 200);
    let after = memory_after(&service, 1_200);
    // The lines alone are more than 90 MiB, the answers more than 60.
    assert!(after < before + 48 * 1024, "{before} KiB before, {after} KiB at most");
}
