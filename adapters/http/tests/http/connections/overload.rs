//! Answers that are held open: so many at once, and a client that reads nothing gives its place back.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::service::{Plan, Service, record, various};

/// Begins a request and reads nothing of the answer.
async fn ask_and_never_read(service: &Service, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(service.addr).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    // The first byte says that the answer has begun.
    let mut first = [0];
    socket.read_exact(&mut first).await.unwrap();
    socket
}

#[tokio::test]
async fn one_aggregate_too_many_is_refused_soon_and_a_client_that_reads_nothing_loses_its_place() {
    let mut plan = Plan::default();
    (plan.http.aggregates_max, plan.http.stall_timeout) = (1, Duration::from_secs(3));
    let service = plan.start().await;
    // More than all buffers between the two hold.
    service.store_all(&various(60_000)).await;
    let idle = ask_and_never_read(&service, "/v1/aggregates").await;
    let began = Instant::now();
    let refused = service.get("/v1/aggregates?limit=1&records=false").await;
    refused.is_problem(503, "overloaded");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // Neither writes nor other reads are in its way.
    assert_eq!(service.post_record(&record("w")).await.status, 201);
    assert_eq!(service.get("/v1/records/w").await.status, 200);
    loop {
        let answer = service.get("/v1/aggregates?records=false").await;
        if answer.status == 200 {
            assert_eq!(answer.json()["recordCount"], json!(60_001));
            break;
        }
        answer.is_problem(503, "overloaded");
        assert!(began.elapsed() < Duration::from_secs(20), "the place is never given back");
    }
    drop(idle);
}

#[tokio::test]
async fn one_event_stream_too_many_is_refused_at_once_and_one_that_ends_makes_room() {
    let mut plan = Plan::default();
    plan.http.event_streams_max = 2;
    let service = plan.start().await;
    let first = ask_and_never_read(&service, "/v1/notifications/stream").await;
    let _second = ask_and_never_read(&service, "/v1/alerts/stream").await;
    let began = Instant::now();
    service.get("/v1/notifications/stream").await.is_problem(503, "overloaded");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(service.get("/v1/notifications").await.status, 200, "catching up needs no place");
    drop(first);
    loop {
        let request = service.client.get(service.url("/v1/notifications/stream"));
        if request.send().await.unwrap().status() == 200 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the place is never given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
