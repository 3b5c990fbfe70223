//! The clients in `examples/clients` do what they say, against the real service.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tallyhouse_tests::folder::{binary, workspace};
use tallyhouse_tests::records::{many, ndjson, record, record_with};
use tallyhouse_tests::service::{Options, Service};

use crate::access::with_keys;

/// How each client begins, before the command and what it is about.
fn clients(url: &str) -> [Vec<String>; 2] {
    let python = workspace().join("examples/clients/python/tallyhouse.py");
    let rust = binary().with_file_name("tallyhouse-client");
    let words = |path: PathBuf| path.display().to_string();
    [vec!["python3".to_owned(), words(python), "--url".to_owned(), url.to_owned()], vec![words(rust), url.to_owned()]]
}

/// Runs a client; returns its exit code and what it wrote.
#[track_caller]
fn run(client: &[String], key: Option<&str>, rest: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(&client[0]);
    command.args(&client[1..]).args(rest).stdin(Stdio::null()).env_remove("TALLYHOUSE_KEY");
    command.envs(key.map(|key| ("TALLYHOUSE_KEY", key)));
    let output = command.output().unwrap_or_else(|error| panic!("{client:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn check(client: &[String], key: Option<&str>, rest: &[&str], expect: &str) {
    let (code, out, err) = run(client, key, rest);
    assert_eq!((code, out.as_str()), (Some(0), expect), "{client:?} {rest:?}: {err}");
}

#[test]
fn the_flights_are_loaded_once_and_their_totals_are_exact() {
    let sample = workspace().join("tests/data/flights-sample.ndjson");
    let sample = sample.to_str().expect("a path of letters");
    for number in 0..2 {
        let service = Service::start();
        let client = &clients(&service.url())[number];
        check(client, None, &["load", sample], "processed 300  duplicates 0  conflicts 0  rejected 0\n");
        check(client, None, &["load", sample], "processed 0  duplicates 300  conflicts 0  rejected 0\n");
        let group = service.http().get("/v1/aggregates?records=false&destinationId=IAH").json()["groups"][0].clone();
        let total = &group["totals"][0];
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let expect = format!("IAH minute {} {}\n", text(&total["count"]), text(&total["net"]));
        check(client, None, &["totals", "IAH"], &expect);
        assert_eq!(service.run(&["verify"]).code, Some(0));
    }
}

#[test]
fn several_batches_are_sent_and_each_refused_record_is_named() {
    for number in 0..2 {
        let service = Service::start();
        let client = &clients(&service.url())[number];
        let mut records = many("r", 2_500);
        let other = record_with("r-000001", serde_json::json!({"value": "77"}));
        records.push(other);
        records.push(record_with("bad", serde_json::json!({"unit": ""})));
        service.folder().write("records.ndjson", ndjson(&records));
        let file = service.folder().path().join("records.ndjson");
        let (code, out, err) = run(client, None, &["load", file.to_str().expect("a path of letters")]);
        assert_eq!((code, out.as_str()), (Some(1), "processed 2500  duplicates 0  conflicts 1  rejected 1\n"), "{err}");
        assert!(err.contains("conflict r-000001 ") && err.contains("rejected bad /unit "), "{err}");
    }
}

#[test]
fn a_client_that_is_told_to_wait_waits_and_sends_again() {
    for number in 0..2 {
        let limits =
            Options::new().env("TALLYHOUSE_RATE_LIMIT__PER_SECOND", "10").env("TALLYHOUSE_RATE_LIMIT__BURST", "3");
        let service = Service::start_with(limits);
        let client = &clients(&service.url())[number];
        service.folder().write("records.ndjson", ndjson(&many("r", 8)));
        let file = service.folder().path().join("records.ndjson");
        let expect: String = (0..8).map(|i| format!("processed r-{i:06}\n")).collect();
        check(client, None, &["write", file.to_str().expect("a path of letters")], &expect);
    }
}

#[test]
fn a_key_is_sent_and_a_refusal_is_said_in_words() {
    let (service, [ingest, read, _]) = with_keys();
    for (number, client) in clients(&service.url()).iter().enumerate() {
        service.folder().write("record.ndjson", ndjson(&[record(&format!("a{number}"))]));
        let file = service.folder().path().join("record.ndjson");
        let file = file.to_str().expect("a path of letters");
        check(client, Some(&ingest), &["write", file], &format!("processed a{number}\n"));
        let (code, out, err) = run(client, Some(&read), &["write", file]);
        assert!(code == Some(1) && out.is_empty() && err.contains("403") && err.contains("scope ingest"), "{err}");
        let (code, _, err) = run(client, None, &["totals", "IAH"]);
        assert!(code == Some(1) && err.contains("401"), "{err}");
    }
}
