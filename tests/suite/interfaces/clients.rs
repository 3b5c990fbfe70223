//! The clients in `examples/clients` do what they say, against the real service.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tallyhouse_tests::data::records::{many, ndjson, record, record_with};
use tallyhouse_tests::folder::{Folder, binary, workspace};
use tallyhouse_tests::servers::service::{Options, Service};

use crate::api::access::with_keys;

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

/// Copies the clients into an empty folder, and builds there what has to be built.
#[track_caller]
fn copied(folder: &Folder, url: &str) -> [Vec<String>; 2] {
    let from = workspace().join("examples/clients");
    let files = ["python/tallyhouse.py", "rust/Cargo.toml", "rust/src/client.rs", "rust/src/main.rs"];
    for file in files {
        let to = folder.path().join(file);
        fs::create_dir_all(to.parent().expect("it lies in a folder")).expect("a folder can be made");
        fs::copy(from.join(file), to).expect("it can be copied");
    }
    let rust = folder.path().join("rust");
    // The versions that are here already: nothing is downloaded.
    fs::copy(workspace().join("Cargo.lock"), rust.join("Cargo.lock")).expect("it can be copied");
    // It is kept from run to run, so that its dependencies are built once.
    let target = binary().with_file_name("copied-client");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet"])
        .current_dir(&rust)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .expect("cargo is there");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && said.is_empty(), "the Rust client does not build as it is: {said}");
    let words = |path: PathBuf| path.display().to_string();
    let python = words(folder.path().join("python/tallyhouse.py"));
    [
        vec!["python3".to_owned(), python, "--url".to_owned(), url.to_owned()],
        vec![words(target.join("debug/tallyhouse-client")), url.to_owned()],
    ]
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
        assert!(err.contains(":2501: conflict r-000001 ") && err.contains(":2502: rejected bad /unit "), "{err}");
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

#[test]
fn a_copy_in_an_empty_folder_builds_and_runs() {
    let folder = Folder::new();
    let service = Service::start();
    let sample = fs::read_to_string(workspace().join("tests/data/flights-sample.ndjson")).expect("it is there");
    folder.write("flights.ndjson", sample);
    let file = folder.path().join("flights.ndjson");
    let file = file.to_str().expect("a path of letters");
    let [python, rust] = copied(&folder, &service.url());
    check(&python, None, &["load", file], "processed 300  duplicates 0  conflicts 0  rejected 0\n");
    check(&rust, None, &["load", file], "processed 0  duplicates 300  conflicts 0  rejected 0\n");
    let (_, by_python, _) = run(&python, None, &["totals", "IAH"]);
    check(&rust, None, &["totals", "IAH"], &by_python);
    assert!(by_python.starts_with("IAH minute "), "{by_python}");
}

#[test]
fn a_line_separator_within_a_name_ends_no_line() {
    for number in 0..2 {
        let service = Service::start();
        let client = &clients(&service.url())[number];
        let strange = |value: &str| record_with("a\u{2028}b\u{2029}c", serde_json::json!({"value": value}));
        // Written as themselves, as JSON allows it.
        service.folder().write("strange.ndjson", format!("{}\n\n{}\n", strange("1.50"), strange("2")));
        let file = service.folder().path().join("strange.ndjson");
        let (code, out, err) = run(client, None, &["load", file.to_str().expect("a path of letters")]);
        assert_eq!((code, out.as_str()), (Some(1), "processed 1  duplicates 0  conflicts 1  rejected 0\n"), "{err}");
        assert!(err.contains("conflict a\u{2028}b\u{2029}c "), "{err}");
    }
}

#[test]
fn the_line_that_stops_a_client_is_named() {
    let good = record("good");
    let cases =
        [("{\"recordId\":\"a\"", "load"), ("{\"recordId\":\"a\"}", "write"), ("[]", "load"), ("nothing", "write")];
    for number in 0..2 {
        let service = Service::start();
        let client = &clients(&service.url())[number];
        for (bad, command) in cases {
            service.folder().write("records.ndjson", format!("{good}\n\n{bad}\n{good}\n"));
            let file = service.folder().path().join("records.ndjson");
            let file = file.to_str().expect("a path of letters");
            let (code, _, err) = run(client, None, &[command, file]);
            assert_eq!((code, err.lines().count()), (Some(1), 1), "{bad}: {err}");
            assert!(err.contains(&format!("{file}:3: ")), "{bad}: {err}");
        }
    }
}

#[test]
fn a_file_that_is_packed_is_read_or_said_to_be_packed() {
    let service = Service::start();
    let sample = workspace().join("tests/data/flights-2013-01.ndjson.gz");
    let sample = sample.to_str().expect("a path of letters");
    let [python, rust] = clients(&service.url());
    check(&python, None, &["load", sample], "processed 26398  duplicates 0  conflicts 0  rejected 0\n");
    let (code, _, err) = run(&rust, None, &["load", sample]);
    assert!(code == Some(1) && err.contains("packed with gzip") && err.contains("gunzip"), "{err}");
    let packed = fs::read(sample).expect("it is there");
    service.folder().write("cut.gz", &packed[..packed.len() / 2]);
    let file = service.folder().path().join("cut.gz");
    let (code, _, err) = run(&python, None, &["load", file.to_str().expect("a path of letters")]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("cut.gz:") && err.contains("ended before"), "{err}");
}

#[test]
fn a_destination_without_records_is_said_to_have_none() {
    let service = Service::start();
    for client in clients(&service.url()) {
        let (code, out, err) = run(&client, None, &["totals", "nowhere"]);
        assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
        assert!(err.contains("nowhere has no records"), "{err}");
    }
}

#[test]
fn a_refused_connection_is_said_in_one_line() {
    let folder = Folder::new();
    folder.write("a.ndjson", ndjson(&[record("a")]));
    let file = folder.path().join("a.ndjson");
    let file = file.to_str().expect("a path of letters");
    let [mut python, rust] = clients("http://127.0.0.1:1");
    python.extend(["--tries".to_owned(), "1".to_owned()]);
    for (client, rest) in [(python, &["load", file][..]), (rust, &["load", file, "1"])] {
        let (code, out, err) = run(&client, None, rest);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
        assert!(err.contains("http://127.0.0.1:1") && err.to_lowercase().contains("refused"), "{err}");
    }
    for client in clients("127.0.0.1:1") {
        let (code, _, err) = run(&client, None, &["load", file]);
        assert!(code == Some(1) && err.lines().count() == 1 && err.contains("http://"), "{err}");
    }
}

#[test]
fn the_python_client_sends_decimals_to_the_last_digit_and_refuses_floats() {
    let service = Service::start();
    let program = r#"
import sys
from decimal import Decimal
from tallyhouse import Client
client = Client(sys.argv[1])
def record(value):
    return dict(recordId=str(value), time="2026-01-01T00:00:00Z", sourceId="s", destinationId="d", type="positive", value=value, unit="u", reference="")
for value in (Decimal("0.1"), 2, "3.50", Decimal("1E-27")):
    client.write(record(value))
for value in (0.1, float("nan")):
    try:
        client.write(record(value))
    except TypeError as error:
        print(error)
print(next(client.groups(destinationId="d"))["totals"][0]["net"])
"#;
    let output = Command::new("python3")
        .args(["-c", program, &service.url()])
        .env("PYTHONPATH", workspace().join("examples/clients/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 is there");
    let refused = |value| format!("the value of {value} is a float: give a decimal.Decimal, an int or a str\n");
    let expect = format!("{}{}5.600000000000000000000000001\n", refused("0.1"), refused("nan"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expect, "{}", String::from_utf8_lossy(&output.stderr));
}
