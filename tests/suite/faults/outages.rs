//! Slow clients and a database that can't be written: each is told so, nothing waits for ever, and everything heals by
//! itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use serde_json::Value;
use tallyhouse_tests::clients::http::Answer;
use tallyhouse_tests::clients::lines;
use tallyhouse_tests::clients::wire::Wire;
use tallyhouse_tests::data::invariants;
use tallyhouse_tests::data::records::{many, ndjson, nth, record};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

/// A service whose patience with a locked database is short.
fn impatient() -> Service {
    let options = Options::new()
        .env("TALLYHOUSE_SQLITE__BUSY_TIMEOUT_MS", "100")
        .env("TALLYHOUSE_PIPELINE__COMMIT_RETRY_TIMEOUT_MS", "200")
        .env("TALLYHOUSE_PIPELINE__INTAKE_RECORDS_MAX", "4");
    Service::start_with(options)
}

/// Takes the database from the service, until dropped: another process writes, and does not end.
struct Locked(SqliteConnection);

impl Locked {
    fn of(service: &Service) -> Self {
        let path = service.folder().path().join("tallyhouse.db");
        let mut connection = SqliteConnection::establish(path.to_str().expect("a path is text")).expect("it opens");
        connection.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").expect("the lock is free");
        Self(connection)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.batch_execute("ROLLBACK").expect("a transaction can be given up");
    }
}

#[track_caller]
fn check_unavailable(answer: &Answer, codes: &[&str]) {
    let code = answer.json()["type"].as_str().expect("a type").rsplit(':').next().expect("a code").to_owned();
    assert!(codes.contains(&code.as_str()), "{}", answer.text());
    answer.problem(503, &code);
    let wait = answer.header("retry-after").expect("Retry-After");
    assert!(wait.parse::<u64>().is_ok_and(|seconds| seconds > 0), "{wait}");
}

#[test]
fn a_write_that_cannot_be_done_is_refused_and_done_when_it_can() {
    let service = impatient();
    let http = service.http();
    assert_eq!(http.record(&record("before")).status, 201);
    let locked = Locked::of(&service);
    check_unavailable(&http.record(&record("a")), &["unavailable"]);
    check_unavailable(&http.post("/v1/records/batch", Value::from(many("b", 3)).to_string()), &["unavailable"]);
    // What is no record is still told so, and what is there can be read.
    http.post("/v1/records", "{").problem(400, "not-json");
    assert_eq!(http.get("/v1/records/before").status, 200);
    assert_eq!(http.get("/healthz").status, 200);
    drop(locked);
    let healed = wait::until("the service to heal by itself", || {
        let answer = http.record(&record("a"));
        (answer.status != 503).then_some(answer)
    });
    assert!([200, 201].contains(&healed.status), "{}", healed.text());
    http.batch(&many("b", 3));
    let mut all = many("b", 3);
    all.extend([record("before"), record("a")]);
    invariants::check(&service, &all);
}

#[test]
fn a_stream_of_lines_breaks_where_storage_fails_and_is_repeated_safely() {
    let service = impatient();
    let sent = many("r", 60);
    let mut sender = lines::open(service.address(), "");
    for record in &sent[..20] {
        sender.line(&record.to_string()).expect("sent");
    }
    let mut results = sender.results().expect("an answer");
    let mut seen: Vec<Value> = (0..20).map(|_| results.next_result().expect("read").expect("a result")).collect();
    let locked = Locked::of(&service);
    for record in &sent[20..] {
        // The service may cut the connection at any moment now.
        if sender.line(&record.to_string()).is_err() {
            break;
        }
    }
    drop(sender.end());
    let end = loop {
        match results.next_result() {
            Ok(Some(result)) => seen.push(result),
            end => break end,
        }
    };
    assert!(end.is_err(), "a broken stream never looks like a whole one: {end:?}");
    assert!(seen.iter().all(|result| result["outcome"] == "processed"), "{seen:?}");
    drop(locked);
    let again = wait::until("the service to heal by itself", || {
        let request =
            service.http().request("POST", "/v1/records/batch").header("content-type", "application/x-ndjson");
        tallyhouse_tests::clients::http::try_send(request.body(ndjson(&sent)))
            .ok()
            .filter(|answer| answer.status == 200)
    });
    let ids: BTreeSet<String> = again.json_lines().iter().map(|result| result["recordId"].to_string()).collect();
    assert_eq!(ids.len(), 60);
    invariants::check(&service, &sent);
}

#[test]
fn a_full_intake_refuses_at_once() {
    let service = impatient();
    let locked = Locked::of(&service);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..24)
            .map(|i| {
                let http = service.http();
                scope.spawn(move || http.record(&nth("r", i)))
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender does not panic")).collect()
    });
    answers.iter().for_each(|answer| check_unavailable(answer, &["unavailable", "overloaded"]));
    let overloaded = answers.iter().filter(|answer| answer.text().contains("problem:overloaded")).count();
    assert!(overloaded > 0, "four fit into the intake, and nobody was sent away");
    drop(locked);
    let http = service.http();
    let sent = many("r", 24);
    wait::until("the service to heal by itself", || (http.record(&sent[0]).status != 503).then_some(()));
    // The intake is small: one after the other.
    assert!(sent.iter().all(|record| [200, 201].contains(&http.record(record).status)));
    invariants::check(&service, &sent);
}

#[test]
fn a_body_that_comes_too_slowly_is_timed_out() {
    let options = Options::new()
        .env("TALLYHOUSE_HTTP__BODY_PAUSE_TIMEOUT_MS", "200")
        .env("TALLYHOUSE_HTTP__BODY_TIMEOUT_MS", "1000");
    let service = Service::start_with(options);
    for path in ["/v1/records", "/v1/records/batch"] {
        let mut wire = Wire::connect(service.address());
        let first = format!("POST {path}");
        wire.head(&[&first, "Content-Type: application/json", "Content-Length: 1000"]).expect("sent");
        wire.send(b"{\"recordId\":").expect("sent");
        let answer = wire.answer().expect("an answer, though the body never ends");
        assert_eq!(answer.status, 408, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem: Value = serde_json::from_str(&answer.text().expect("whole")).expect("JSON");
        tallyhouse_tests::clients::http::check_problem(&problem, 408, "timeout");
    }
    assert_eq!(service.http().record(&record("a")).status, 201);
}

#[test]
fn a_stream_that_rests_in_both_directions_is_cut() {
    let service = Service::start_with(Options::new().env("TALLYHOUSE_HTTP__STALL_TIMEOUT_MS", "300"));
    let mut sender = lines::open(service.address(), "");
    sender.line(&record("a").to_string()).expect("sent");
    let mut results = sender.results().expect("an answer");
    assert!(results.next_result().expect("read").is_some());
    let began = Instant::now();
    assert!(results.next_result().is_err(), "cut, not ended as if it were whole");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(service.http().get("/v1/records/a").status, 200);
}

#[test]
fn a_head_that_never_comes_is_not_waited_for() {
    let service = Service::start_with(Options::new().env("TALLYHOUSE_HTTP__HEAD_TIMEOUT_MS", "200"));
    for begun in [&b""[..], b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", b"PRI * HT"] {
        let mut wire = Wire::connect(service.address());
        wire.send(begun).expect("sent");
        let began = Instant::now();
        if let Ok(answer) = wire.answer() {
            assert!((400..500).contains(&answer.status), "{}", answer.status);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    assert_eq!(service.http().get("/healthz").status, 200);
}

#[test]
fn a_client_that_asks_before_it_sends_is_answered() {
    let service = Service::start();
    let body = record("a").to_string();
    let mut wire = Wire::connect(service.address());
    let length = format!("Content-Length: {}", body.len());
    wire.head(&["POST /v1/records", "Content-Type: application/json", &length, "Expect: 100-continue"]).expect("sent");
    let mut sender = wire.sender().expect("one more descriptor");
    // A client that does not wait for `100 Continue` sends the body all the same.
    sender.send(body.as_bytes()).expect("sent");
    assert_eq!(wire.answer().expect("an answer").status, 201);
    let mut wire = Wire::connect(service.address());
    wire.head(&[
        "POST /v1/records",
        "Content-Type: application/json",
        "Content-Length: 99999999",
        "Expect: 100-continue",
    ])
    .expect("sent");
    assert_eq!(wire.answer().expect("an answer without the body").status, 413);
}
