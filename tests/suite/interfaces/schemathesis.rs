//! Schemathesis reads the OpenAPI document, makes calls out of it, good and bad ones, and holds each answer against it:
//! it must find nothing. `tests/schemathesis` holds what it is told beyond the document.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tallyhouse_tests::clients::http::{Client, send};
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::folder::{Folder, workspace};
use tallyhouse_tests::packages;
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

use crate::api::access::{new_key, with_keys};

/// Of this version, so that what it finds changes only when we change something.
const VERSION: &str = "4.32.5";

/// Runs it on a service, prints how it ended, and fails where it found anything.
#[track_caller]
fn finds_nothing(service: &Service, further: &[&str]) {
    let packages = packages::installed("schemathesis", VERSION, true);
    let folder = Folder::new();
    for name in ["schemathesis.toml", "hooks.py"] {
        let text = std::fs::read_to_string(workspace().join("tests/schemathesis").join(name)).expect("it is there");
        folder.write(name, text);
    }
    let output = run(&packages, folder.path(), &format!("{}/openapi.json", service.url()), further);
    let said = String::from_utf8_lossy(&output.stdout);
    let summary = said.lines().rfind(|line| line.starts_with("==")).unwrap_or_default();
    let cases = said.lines().find(|line| line.contains(" generated, ")).unwrap_or_default();
    println!("schemathesis: {} {}", cases.trim(), summary.trim_matches(['=', ' ']));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "schemathesis found something:\n{said}\n{complaint}");
    let generated: usize = cases.trim().split(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(generated > 300, "it has hardly tried anything:\n{said}");
}

fn run(packages: &Path, folder: &Path, document: &str, further: &[&str]) -> std::process::Output {
    Command::new("python3")
        .args(["-m", "schemathesis.cli", "run", document])
        .args(further)
        .env("PYTHONPATH", packages)
        .current_dir(folder)
        .output()
        .expect("python3 is there")
}

/// Puts something behind every call: flights, an alert, a rule, a record named `batch`.
fn fill(http: &Client) {
    let rule = http.request("PUT", "/v1/alert-rules/late").body(r#"{"threshold":"10"}"#);
    send(rule).expect_status(201);
    let flights = std::fs::read_to_string(workspace().join("tests/data/flights-sample.ndjson")).expect("it is there");
    http.lines("?results=failed", flights);
    http.record(&record("batch")).expect_status(201);
    http.record(&record_with("empty", json!({"reference": ""}))).expect_status(201);
}

#[test]
fn schemathesis_finds_nothing() {
    let redis = RedisServer::start().expect("Redis is installed");
    let options = Options::new()
        .env("TALLYHOUSE_REDIS__URL", redis.url())
        // A rule of the settings comes back when a managed one of its name is deleted, which it takes for a fault.
        .env("TALLYHOUSE_ALERTS__THRESHOLD", "none");
    let service = Service::start_with(options);
    fill(&service.http());
    redis.cli(&["LPUSH", "tallyhouse:records", "not json", "[]"]).expect("Redis answers");
    wait::until("two dead letters", || {
        let page = service.http().get("/v1/dead-letters").json();
        (page["deadLetters"].as_array().expect("a list").len() == 2).then_some(())
    });
    finds_nothing(&service, &[]);
    assert_eq!(service.run(&["verify"]).code, Some(0));
}

#[test]
fn schemathesis_finds_nothing_where_there_are_keys() {
    let (service, _) = with_keys();
    let key = new_key(service.folder(), "all", "ingest,read,admin");
    let http = service.http();
    wait::until("the key is known", || {
        let request = http.request("GET", "/v1/alert-rules").bearer_auth(&key);
        (send(request).status == 200).then_some(())
    });
    let header = format!("Authorization: Bearer {key}");
    // What the answers are is looked at by the other test; here it is who gets one.
    finds_nothing(
        &service,
        &["--phases", "examples,coverage", "--header", &header, "--exclude-path-regex", "/stream$"],
    );
}
