//! SIGTERM: what was taken is finished, what was acknowledged is stored, and the process ends with success in time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tallyhouse_tests::clients::http::{Client, try_send};
use tallyhouse_tests::clients::lines;
use tallyhouse_tests::clients::wire::Wire;
use tallyhouse_tests::data::records::{many, nth};
use tallyhouse_tests::servers::service::{Options, Service, signal};
use tallyhouse_tests::wait;

/// How long requests in flight may take once a stop was asked for.
const DRAIN: Duration = Duration::from_secs(3);

/// How much longer the rest of a stop may take, beside other tests.
const REST: Duration = Duration::from_secs(10);

/// The ids of the records that were acknowledged.
type Acknowledged = Mutex<BTreeSet<String>>;

fn note(acknowledged: &Acknowledged, result: &Value) {
    let id = result["recordId"].as_str().expect("an id").to_owned();
    acknowledged.lock().expect("nobody panics with the lock").insert(id);
}

/// Sends records one by one until the service is gone, or going.
fn send_singly(http: &Client, prefix: &str, acknowledged: &Acknowledged) {
    for i in 0.. {
        let request = http.request("POST", "/v1/records").header("content-type", "application/json");
        let Ok(answer) = try_send(request.body(nth(prefix, i).to_string())) else { return };
        if answer.status == 503 {
            return;
        }
        note(acknowledged, &answer.expect_status(201).json());
    }
}

/// Sends lines without end, and notes each result, until the service is gone.
fn send_as_lines(address: SocketAddr, acknowledged: &Acknowledged) {
    let Ok(sender) = lines::try_open(address, "") else { return };
    let mut sending = sender.sending_half().expect("one more descriptor");
    std::thread::spawn(move || {
        let mut i = 0;
        while sending.line(&nth("l", i).to_string()).is_ok() {
            i += 1;
        }
    });
    let Ok(mut results) = sender.results() else { return };
    while let Ok(Some(result)) = results.next_result() {
        if result["outcome"] == "processed" {
            note(acknowledged, &result);
        }
    }
}

#[test]
fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let drain = DRAIN.as_millis().to_string();
    let mut service = Service::start_with(Options::new().env("TALLYHOUSE_HTTP__DRAIN_TIMEOUT_MS", drain));
    let acknowledged = Acknowledged::default();
    let count = || acknowledged.lock().expect("nobody panics with the lock").len();
    std::thread::scope(|scope| {
        let (acknowledged, address) = (&acknowledged, service.address());
        for sender in 0..4 {
            let http = service.http();
            scope.spawn(move || send_singly(&http, &format!("s{sender}"), acknowledged));
        }
        scope.spawn(move || send_as_lines(address, acknowledged));
        wait::until("some load", || (count() > 300).then_some(()));
        service.ask_to_stop();
        let (code, took) = service.ended();
        assert_eq!(code, Some(0), "{}", service.log());
        assert!(took < DRAIN + REST, "one who sends without end holds up the stop: {took:?}");
    });
    service.restart();
    let stored = service.http().get("/v1/aggregates").expect_status(200).json();
    let groups = stored["groups"].as_array().expect("a list").iter();
    let records = groups.flat_map(|group| group["records"].as_array().expect("a list"));
    let stored: BTreeSet<String> = records.map(|r| r["recordId"].as_str().expect("an id").to_owned()).collect();
    let acknowledged = acknowledged.into_inner().expect("nobody panicked");
    let missing: Vec<&String> = acknowledged.difference(&stored).collect();
    assert!(missing.is_empty(), "acknowledged and missing: {missing:?}");
    service.run(&["verify"]).ok();
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let mut service = Service::start();
    let body = serde_json::Value::from(many("r", 5_000)).to_string();
    let mut wire = Wire::connect(service.address());
    let length = format!("Content-Length: {}", body.len());
    wire.head(&["POST /v1/records/batch", "Content-Type: application/json", &length]).expect("sent");
    let (most, rest) = body.as_bytes().split_at(body.len() - 10);
    wire.send(most).expect("sent");
    // Only a request that the service has seen is in flight for it: it answers another one behind it.
    assert_eq!(service.http().get("/healthz").status, 200);
    service.ask_to_stop();
    wait::until("the stop to begin", || {
        (Wire::try_connect(service.address()).is_err() || service.log().contains("stop")).then_some(())
    });
    wire.send(rest).expect("still read");
    let answer = wire.answer().expect("still answered");
    assert_eq!(answer.status, 200);
    assert!(answer.text().expect("whole").starts_with("{\"processed\":5000,"));
    assert_eq!(service.ended().0, Some(0));
    service.restart();
    assert_eq!(service.http().get("/v1/aggregates?records=false").json()["recordCount"], 5_000);
}

#[test]
fn an_idle_service_stops_at_once_and_by_either_signal() {
    for name in ["TERM", "INT"] {
        let mut service = Service::start();
        let http = service.http();
        assert_eq!(http.get("/healthz").status, 200);
        signal(name, service.pid());
        let (code, took) = service.ended();
        assert_eq!(code, Some(0), "{name}");
        assert!(took < Duration::from_secs(10), "{name}: {took:?} with an idle connection open");
    }
}

#[test]
fn everything_is_there_after_a_stop_and_a_start() {
    let mut service = Service::start();
    let sent = many("r", 700);
    service.http().batch(&sent);
    let before = service.http().get("/v1/aggregates").text().to_owned();
    let messages = service.http().get("/v1/notifications?limit=1000").text().to_owned();
    service.stop();
    service.restart();
    assert_eq!(service.http().get("/v1/aggregates").text(), before);
    assert_eq!(service.http().get("/v1/notifications?limit=1000").text(), messages);
    tallyhouse_tests::data::invariants::check(&service, &sent);
}

#[test]
fn a_service_that_is_about_to_stop_says_so_and_still_answers() {
    let mut service = Service::start_with(Options::new().env("TALLYHOUSE_HTTP__LAME_DUCK_MS", "3000"));
    assert_eq!(service.http().get("/readyz").status, 200);
    service.ask_to_stop();
    let unready = wait::until("readiness to end", || {
        let answer = service.http().get("/readyz");
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(unready.status, 503, "{}", unready.text());
    assert_eq!(service.http().get("/healthz").status, 200);
    assert_eq!(service.http().record(&nth("r", 1)).status, 201, "who was sent here a moment ago is served");
    assert_eq!(service.ended().0, Some(0));
}
