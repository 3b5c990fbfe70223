//! Limits on connections, and an end in good order.

use std::time::Duration;

use tallyhouse_http::HttpSettings;

use crate::support::raw::Raw;
use crate::support::service::{Plan, Service, eventually, record};

fn post(id: &str) -> String {
    let json = record(id).to_string();
    format!("POST /v1/records HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{json}", json.len())
}

#[tokio::test]
async fn requests_in_flight_are_finished_and_idle_connections_closed() {
    let service = Service::start().await;
    let mut idle = Raw::connect(service.addr).await;
    idle.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    idle.answer().await;
    service.store.shut_gate();
    let mut busy = Raw::connect(service.addr).await;
    busy.send(post("a")).await;
    // The gate holds it back, so that it leaves the intake but is not yet stored.
    tokio::time::sleep(Duration::from_millis(100)).await;

    service.stop.cancel();
    assert_eq!(idle.rest().await, "");
    assert!(!service.served.is_finished());
    service.store.gate.add_permits(10);
    let answer = busy.rest().await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("connection: close\r\n"), "{answer}");
    service.served.await.unwrap();
    assert!(tokio::net::TcpStream::connect(service.addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn requests_that_do_not_finish_in_time_are_cut() {
    let settings = HttpSettings { drain_timeout: Duration::from_millis(100), ..HttpSettings::default() };
    let mut plan = Plan::http(settings);
    plan.pipeline.commit_retry_timeout = Duration::from_secs(60);
    let service = plan.start().await;
    service.store.shut_gate();
    let mut busy = Raw::connect(service.addr).await;
    busy.send(post("a")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.stop.cancel();
    assert_eq!(busy.rest().await, "");
    service.served.await.unwrap();
}

#[tokio::test]
async fn requests_beyond_the_limit_of_connections_wait_for_one_to_close() {
    let settings = HttpSettings { connections_max: 4, ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    let mut open = Vec::new();
    // The fourth is left to another address.
    for _ in 0..3 {
        let mut raw = Raw::connect(service.addr).await;
        raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        raw.answer().await;
        open.push(raw);
    }
    let mut waiting = Raw::connect(service.addr).await;
    waiting.send("GET /v1/records HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let mut answer = tokio::spawn(async move { waiting.rest().await });
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut answer).await.is_err());
    open.pop();
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_old_connection_is_closed_after_its_request() {
    let settings = HttpSettings { connection_age_max: Duration::from_millis(100), ..HttpSettings::default() };
    let service = Plan::http(settings).start().await;
    service.store.shut_gate();
    let mut raw = Raw::connect(service.addr).await;
    raw.send(post("a")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.store.gate.add_permits(10);
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn dropping_the_server_cuts_its_connections() {
    let service = Service::start().await;
    let mut raw = Raw::connect(service.addr).await;
    raw.send("GET /v1/notifications/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    raw.until(": following\n\n").await;
    service.served.abort();
    eventually("the server is gone", || service.served.is_finished()).await;
    raw.rest().await;
}
