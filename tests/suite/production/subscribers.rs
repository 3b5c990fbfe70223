//! Programs of others: the subscriber among the examples, and the SDK of the CloudEvents project.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use tallyhouse_tests::clients::subscriber::Subscriber;
use tallyhouse_tests::data::records::{record, record_with};
use tallyhouse_tests::folder::{Folder, workspace};
use tallyhouse_tests::servers::fleet::Fleet;
use tallyhouse_tests::servers::redis_server::RedisServer;
use tallyhouse_tests::servers::service::Service;
use tallyhouse_tests::wait;

use crate::api::history::{DATABASE, restore};

/// What the Python programs need, as tried.
const PACKAGES: [&str; 2] = ["redis==8.1.0", "cloudevents==2.2.0"];

/// Installs the packages into a folder.
#[track_caller]
fn install(folder: &Path, packages: &[&str]) {
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--target"])
        .arg(folder)
        .args(packages)
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{packages:?} could not be installed by pip, which this test needs: {said}");
}

/// A program whose lines of output are read.
struct Script {
    child: Child,
    lines: Receiver<String>,
}

impl Script {
    fn start(packages: &Path, script: &str, args: &[&str]) -> Self {
        let mut command = Command::new("python3");
        command.arg(workspace().join(script)).args(args).env("PYTHONPATH", packages);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 is there");
        let stdout = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Nobody listens any more when sending fails.
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
        });
        Self { child, lines }
    }

    /// Returns the next line that is not about connections.
    #[track_caller]
    fn next_connected(&self) -> String {
        loop {
            let line = self.next();
            if !line.starts_with("reconnecting: ") {
                return line;
            }
        }
    }

    #[track_caller]
    fn next(&self) -> String {
        self.lines.recv_timeout(wait::PATIENCE).expect("the program writes a line")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // One that has ended already need not be killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_example_notices_repeats_and_gaps_and_the_sdk_reads_our_messages() {
    let packages = Folder::new();
    install(packages.path(), &PACKAGES);
    let fleet = Fleet::start(1);
    let http = fleet.instances[0].http();
    let subscriber = Subscriber::of(&fleet.redis, &["tallyhouse:notifications", "tallyhouse:alerts"]);
    assert_eq!(http.record(&record("before")).status, 201);
    wait::until("its notification", || (subscriber.count() == 1).then_some(()));
    let (redis, url) = (fleet.redis.url(), fleet.instances[0].url());
    let example =
        Script::start(packages.path(), "examples/subscribe.py", &["notifications", "--redis", &redis, "--http", &url]);
    // From the catch-up, while it was not there yet.
    assert_eq!(example.next(), "tallyhouse.record.processed.v1 before 1");
    let publish = |message: &str| drop(fleet.cli(&["PUBLISH", "tallyhouse:notifications", message]));
    // It reads this only when it has caught up: what comes from now on comes once.
    publish(&subscriber.heard()[0].1);
    assert_eq!(example.next(), "repeat before");
    assert_eq!(http.record(&record_with("large", json!({"value": "10000.01"}))).status, 201);
    assert_eq!(example.next(), "tallyhouse.record.processed.v1 large 2");
    wait::until("three notifications, one of them twice, and an alert", || (subscriber.count() >= 4).then_some(()));
    let heard = subscriber.heard();

    let (_, large) =
        heard.iter().find(|(from, m)| from.ends_with("notifications") && m.contains("\"large\"")).expect("heard");
    publish(large);
    assert_eq!(example.next(), "repeat large");
    // Two are overtaken, and one of them never comes.
    let later = |id: &str, sequence: usize| {
        let mut message: Value = serde_json::from_str(large).expect("JSON");
        message["id"] = Value::from(id);
        message["data"]["sequence"] = Value::from(sequence);
        publish(&message.to_string());
        assert_eq!(example.next(), format!("tallyhouse.record.processed.v1 {id} {sequence}"));
    };
    later("fifth", 5);
    later("fourth", 4);
    assert_eq!(example.next(), "gap 'IAH' 'EWR': 3 to 3 are missing");
    later("sixth", 6);

    check_by_sdk(packages.path(), &heard);
}

#[test]
fn the_example_keeps_its_position_while_it_listens_and_starts_over_when_the_history_changes() {
    let packages = Folder::new();
    install(packages.path(), &PACKAGES[..1]);
    let mut service = Service::start();
    service.http().record(&record("kept")).expect_status(201);
    service.stop();
    let copy = std::fs::read(service.folder().path().join(DATABASE)).expect("the database can be read");
    service.restart();
    // Nothing is pushed through this Redis: all that the example sees, it sees over HTTP.
    let redis = RedisServer::start().expect("Redis is installed");
    let (redis_url, url) = (redis.url(), service.url());
    let args = ["notifications", "--redis", &redis_url, "--http", &url, "--catch-up-seconds", "0.1"];
    let example = Script::start(packages.path(), "examples/subscribe.py", &args);
    assert_eq!(example.next(), "tallyhouse.record.processed.v1 kept 1");
    service.http().record(&record("lost")).expect_status(201);
    assert_eq!(example.next(), "tallyhouse.record.processed.v1 lost 2");
    // The page that brought this message brought its position, too.
    service.stop();
    restore(&service, &copy);
    service.restart();
    service.http().record(&record("new")).expect_status(201);
    let line = example.next_connected();
    assert!(line.starts_with("the history has changed since 2~"), "{line}");
    assert_eq!(example.next_connected(), "tallyhouse.record.processed.v1 new 2");
}

/// Gives messages to the SDK, and compares what it understood.
#[track_caller]
fn check_by_sdk(packages: &Path, messages: &[(String, String)]) {
    let mut sdk = Script::start(packages, "tests/scripts/cloudevents_sdk.py", &[]);
    let mut stdin = sdk.child.stdin.take().expect("standard input is a pipe");
    messages.iter().for_each(|(_, message)| writeln!(stdin, "{message}").expect("it reads"));
    drop(stdin);
    for (channel, message) in messages {
        let understood: Value = serde_json::from_str(&sdk.next()).expect("the script writes JSON");
        let mut expected: Value = serde_json::from_str(message).expect("a message is JSON");
        let time = expected["time"].as_str().expect("a time").replace('Z', "+00:00");
        expected["time"] = Value::from(time);
        assert_eq!(understood, expected, "{channel}");
    }
    assert!(messages.iter().any(|(channel, _)| channel == "tallyhouse:alerts"), "an alert was read, too");
}
