//! Bytes that no good client sends.

use std::time::Duration;

use tallyhouse_http::HttpSettings;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::raw::{Raw, exchange};
use crate::support::service::{Plan, Service, record};

fn quick() -> HttpSettings {
    HttpSettings {
        head_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(600),
        stall_timeout: Duration::from_millis(300),
        body_pause_timeout: Duration::from_millis(150),
        body_timeout: Duration::from_millis(400),
        ..HttpSettings::default()
    }
}

const POST: &str = "POST /v1/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_connection_that_sends_nothing_is_closed() {
    let service = Plan::http(quick()).start().await;
    assert_eq!(exchange(service.addr, "").await, "");
}

#[tokio::test]
async fn half_a_head_is_not_waited_for() {
    let service = Plan::http(quick()).start().await;
    for start in
        ["G", "GET /healthz HTTP/1.1\r\nhost: localhost\r\n", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let answer = exchange(service.addr, start).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_not_waited_for() {
    let service = Plan::http(quick()).start().await;
    let mut socket = TcpStream::connect(service.addr).await.unwrap();
    let trickle = async {
        for byte in b"GET /healthz HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'y')) {
            if socket.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), trickle).await.expect("the connection is never cut");
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_but_not_for_ever() {
    let service = Plan::http(quick()).start().await;
    let mut raw = Raw::connect(service.addr).await;
    for _ in 0..2 {
        raw.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert!(raw.answer().await.0.starts_with("HTTP/1.1 200"));
        // Longer than a head may take, shorter than a rest.
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
    assert_eq!(raw.rest().await, "");
}

#[tokio::test]
async fn a_body_that_pauses_or_trickles_is_a_timeout() {
    let service = Plan::http(quick()).start().await;
    let paused = exchange(service.addr, format!("{POST}content-length: 100\r\n\r\n{{")).await;
    assert!(paused.starts_with("HTTP/1.1 408 ") && paused.contains("problem:timeout"), "{paused}");
    assert!(paused.contains("connection: close\r\n") && paused.contains("x-request-id: "), "{paused}");

    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{POST}content-length: 100\r\n\r\n")).await;
    for _ in 0..20 {
        raw.send("{").await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        if raw.socket.try_read(&mut []).is_err() {
            break;
        }
    }
    let trickled = raw.rest().await;
    assert!(trickled.starts_with("HTTP/1.1 408 "), "{trickled}");
}

#[tokio::test]
async fn a_wrong_content_length_hurts_its_own_connection_alone() {
    let service = Plan::http(quick()).start().await;
    let json = record("a").to_string();
    // Too short: what is left over is no request.
    let answer = exchange(service.addr, format!("{POST}content-length: {}\r\n\r\n{json}", json.len() - 1)).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("problem:not-json"), "{answer}");
    for length in ["x", "-1", "99999999999999999999999", "1, 2"] {
        let answer = exchange(service.addr, format!("{POST}content-length: {length}\r\n\r\n{json}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{length}: {answer}");
        assert!(answer.contains("x-request-id: ") && answer.contains("application/problem+json"), "{answer}");
    }
    let huge = exchange(service.addr, format!("{POST}content-length: 9999999999999999\r\n\r\n")).await;
    assert!(huge.starts_with("HTTP/1.1 413 ") && huge.contains("problem:too-large"), "{huge}");
    assert_eq!(service.post_record(&record("b")).await.json()["sequence"], 1);
}

#[tokio::test]
async fn a_post_without_a_body_is_not_json() {
    let service = Plan::http(quick()).start().await;
    let answer = exchange(service.addr, format!("{POST}connection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("problem:not-json"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_to_be_invited_is_refused_without_an_invitation() {
    let service = Plan::http(quick()).start().await;
    let too_large = format!("{POST}content-length: 100000\r\nexpect: 100-continue\r\n\r\n");
    let answer = exchange(service.addr, too_large).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

    let json = record("a").to_string();
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{POST}content-length: {}\r\nexpect: 100-continue\r\n\r\n", json.len())).await;
    assert_eq!(raw.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(json).await;
    assert!(raw.answer().await.0.starts_with("HTTP/1.1 201 "));
}

#[tokio::test]
async fn bytes_that_are_not_text_break_nothing() {
    let service = Plan::http(quick()).start().await;
    let mut path = b"GET /v1/records/a\xff HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec();
    let answer = exchange(service.addr, &path).await;
    assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("x-request-id: "), "{answer}");
    path = b"GET /v1/records?unit=\xff HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec();
    assert!(exchange(service.addr, &path).await.starts_with("HTTP/1.1 400 "));
    for header in [&b"x-request-id"[..], b"last-event-id", b"content-type", b"accept", b"traceparent"] {
        let request =
            [b"POST /v1/alerts/stream HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", header, b": \xff\r\n\r\n"]
                .concat();
        let answer = exchange(service.addr, request).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }
    let json = record("a").to_string();
    let odd = format!(
        "POST /v1/records HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        json.len()
    );
    let request = [odd.as_bytes(), b"content-type: \xff\r\n\r\n", json.as_bytes()].concat();
    assert!(exchange(service.addr, request).await.starts_with("HTTP/1.1 415 "));
}

#[tokio::test]
async fn malformed_chunks_are_refused() {
    let service = Plan::http(quick()).start().await;
    let answer =
        exchange(service.addr, format!("{POST}transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn what_is_not_http_is_a_problem_with_a_request_id() {
    let service = Plan::http(quick()).start().await;
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    for (bytes, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET  /  HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
        ("\u{0}\u{1}\u{2}\r\n\r\n", "400"),
        (&large, "431"),
        (&many, "431"),
        (&long, "4"),
    ] {
        let answer = exchange(service.addr, bytes).await;
        let shown: String = bytes.chars().take(30).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown:?}: {answer}");
        assert!(answer.contains("x-request-id: "), "{shown:?}: {answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{shown:?}: {answer}");
        assert!(answer.contains("urn:tallyhouse:problem:"), "{shown:?}: {answer}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let service = Plan::http(quick()).start().await;
    let json = record("a").to_string();
    let one = format!("{POST}content-length: {}\r\n\r\n{json}", json.len());
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!(
        "{one}{one}GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    ))
    .await;
    for status in ["201", "200", "404", "200"] {
        let (head, _) = raw.answer().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_is_answered() {
    let service = Service::start().await;
    let json = record("a").to_string();
    let mut raw = Raw::connect(service.addr).await;
    raw.send(format!("{POST}content-length: {}\r\n\r\n{json}", json.len())).await;
    raw.socket.shutdown().await.unwrap();
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut() {
    let service = Plan::http(quick()).start().await;
    service.store_all(&crate::support::service::various(5_000)).await;
    let mut raw = Raw::connect(service.addr).await;
    let request = "GET /v1/aggregates HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(50);
    raw.send(request).await;
    // Long enough for every time-out, so that only what lies in the system's buffers is left.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let read = raw.rest().await;
    let whole = read.matches("\"groupCount\"").count();
    assert!(whole < 50, "all {whole} answers were kept for a client that did not read");
}

#[tokio::test]
async fn requests_of_old_and_odd_forms_are_understood() {
    let service = Service::start().await;
    let old = exchange(service.addr, "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 ") || old.starts_with("HTTP/1.1 200 "), "{old}");
    // The host of an address counts, and not the header beside it (RFC 9112, section 3.2.2).
    for (host, header, status) in [("localhost", "elsewhere", 404), ("elsewhere", "localhost", 403)] {
        let head =
            format!("GET http://{host}/v1/records/%2e%2e HTTP/1.1\r\nhost: {header}\r\nconnection: close\r\n\r\n");
        let absolute = exchange(service.addr, head).await;
        assert!(absolute.starts_with(&format!("HTTP/1.1 {status} ")), "{absolute}");
    }
    let star = exchange(service.addr, "OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(star.starts_with("HTTP/1.1 404 "), "{star}");
    let connect = exchange(service.addr, "CONNECT x:1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(connect.starts_with("HTTP/1.1 404 ") || connect.starts_with("HTTP/1.1 405 "), "{connect}");
}
