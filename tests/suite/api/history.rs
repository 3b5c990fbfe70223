//! A database that comes back from a backup uses positions again. Subscribers are told so, and start over.

use std::io::BufRead as _;
use std::process::Stdio;

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::Client;
use tallyhouse_tests::clients::sse::Events;
use tallyhouse_tests::data::records::{nth, record_with};
use tallyhouse_tests::servers::service::{Service, signal};

pub(crate) const DATABASE: &str = "tallyhouse.db";

fn send(http: &Client, prefix: &str, count: usize) {
    for i in 0..count {
        http.record(&nth(prefix, i)).expect_status(201);
    }
}

fn ids(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().expect("a list");
    messages.iter().map(|message| message["id"].as_str().expect("an id")).collect()
}

/// Takes the database of a stopped service back to a copy of it.
pub(crate) fn restore(service: &Service, copy: &[u8]) {
    let path = service.folder().path();
    std::fs::write(path.join(DATABASE), copy).expect("the database can be written");
    for left in ["-wal", "-shm"] {
        let left = path.join(format!("{DATABASE}{left}"));
        assert!(!left.exists() || std::fs::remove_file(left).is_ok());
    }
}

/// Returns a copy of a service's database; the service is stopped meanwhile.
pub(crate) fn saved(service: &mut Service) -> Vec<u8> {
    service.stop();
    let copy = std::fs::read(service.folder().path().join(DATABASE)).expect("the database can be read");
    service.restart();
    copy
}

/// A service whose database was taken back from ten records to five, and the position after the tenth.
fn taken_back() -> (Service, String) {
    let mut service = Service::start();
    send(&service.http(), "kept", 5);
    let copy = saved(&mut service);
    send(&service.http(), "lost", 5);
    let next = service.http().get("/v1/notifications").json()["next"].as_str().expect("a text").to_owned();
    service.stop();
    restore(&service, &copy);
    service.restart();
    (service, next)
}

#[test]
fn a_position_of_a_lost_history_is_answered_with_410_and_the_head() {
    let (service, lost) = taken_back();
    let http = service.http();
    for more in [0, 3, 5] {
        send(&http, &format!("new-{more}"), more);
        let head = http.get("/v1/notifications").json()["next"].as_str().expect("a text").to_owned();
        for path in ["/v1/notifications", "/v1/alerts", "/v1/notifications/stream", "/v1/alerts/stream"] {
            let problem = http.get(&format!("{path}?after={lost}")).problem(410, "history-changed");
            let named = problem["head"].as_str().expect("the head");
            assert_eq!(named.split(['-', '~']).next(), head.split('~').next(), "{path}");
            assert!(
                http.get(&format!("/v1/notifications?after={named}")).expect_status(200).json()["messages"]
                    == json!([])
            );
        }
    }
    // A bare number of before is judged by the head.
    http.get("/v1/notifications?after=999999").problem(410, "history-changed");
    assert_eq!(ids(&http.get("/v1/notifications?after=4&limit=2").json()), ["kept-000004", "new-3-000000"]);
}

#[test]
fn a_position_of_what_was_kept_goes_on() {
    let (service, _) = taken_back();
    let http = service.http();
    let kept = http.get("/v1/notifications?limit=3").json()["next"].as_str().expect("a text").to_owned();
    send(&http, "new", 1);
    assert_eq!(
        ids(&http.get(&format!("/v1/notifications?after={kept}")).json()),
        ["kept-000003", "kept-000004", "new-000000"]
    );
}

#[test]
fn a_message_bears_the_position_that_a_reader_goes_on_from() {
    let service = Service::start();
    let http = service.http();
    for i in 0..3 {
        http.record(&record_with(&format!("r{i}"), json!({"value": "10001"}))).expect_status(201);
    }
    for topic in ["notifications", "alerts"] {
        let page = http.get(&format!("/v1/{topic}")).json();
        let second = page["messages"][1]["position"].as_str().expect("a text");
        let rest = http.get(&format!("/v1/{topic}?after={second}")).json();
        assert_eq!(rest["messages"], json!([page["messages"][2]]));
        let mut stream = Events::open(service.address(), &format!("/v1/{topic}/stream?after={second}"), None);
        assert_eq!(page["messages"][2]["position"], json!(stream.next_event().id));
    }
}

#[test]
fn watch_says_that_the_history_has_changed_and_starts_over() {
    let (service, lost) = taken_back();
    send(&service.http(), "new", 2);
    for over_http in [true, false] {
        let mut command = service.folder().command();
        command.args(["watch", "notifications", "--after", &lost]);
        if over_http {
            command.args(["--url", &service.url()]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let seen: Vec<Value> =
            lines.take(7).map(|line| serde_json::from_str(&line.expect("text")).expect("one message a line")).collect();
        // By a signal that lets it write its log.
        signal("TERM", child.id());
        let log = child.wait_with_output().expect("it has ended").stderr;
        let ids: Vec<&str> = seen.iter().map(|message| message["id"].as_str().expect("an id")).collect();
        assert_eq!(
            ids,
            ["kept-000000", "kept-000001", "kept-000002", "kept-000003", "kept-000004", "new-000000", "new-000001"]
        );
        assert!(String::from_utf8_lossy(&log).contains("the history has changed"), "{}", String::from_utf8_lossy(&log));
    }
}

#[test]
fn an_open_stream_ends_when_the_database_goes_back_under_the_service() {
    let service = Service::start();
    let http = service.http();
    send(&http, "kept", 5);
    let backup = service.folder().path().join("backup.db");
    let database = rusqlite::Connection::open(service.folder().path().join(DATABASE)).expect("it can be opened");
    database.execute("VACUUM INTO ?1", [backup.to_str().expect("a path of text")]).expect("it is copied");
    send(&http, "lost", 5);
    let mut stream = Events::open(service.address(), "/v1/notifications/stream?after=0", None);
    let mut last = None;
    for _ in 0..10 {
        last = Some(stream.next_event().id);
    }
    // What `.restore` of the SQLite shell does: the pages are written over in the open database.
    drop(database);
    let source = rusqlite::Connection::open(&backup).expect("it can be opened");
    let mut target = rusqlite::Connection::open(service.folder().path().join(DATABASE)).expect("it can be opened");
    let copied = rusqlite::backup::Backup::new(&source, &mut target);
    copied.and_then(|copy| copy.run_to_completion(1_000, std::time::Duration::ZERO, None)).expect("it is restored");
    assert!(stream.rest().is_empty(), "what is stored again is not sent as if it followed");
    let path = format!("/v1/notifications?after={}", last.expect("ten came"));
    http.get(&path).problem(410, "history-changed");
}
