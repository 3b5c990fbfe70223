//! The headers that every response has.

use std::sync::atomic::Ordering;

use crate::support::raw::{Raw, exchange};
use crate::support::service::{Service, record};

/// What every answer in clear text bears, once each.
const EVERYWHERE: [&str; 3] = [
    "\r\nx-content-type-options: nosniff\r\n",
    "\r\nreferrer-policy: no-referrer\r\n",
    "\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'\r\n",
];

#[track_caller]
fn check(answer: &str, status: u16) {
    let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
    let head = format!("{head}\r\n");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    for header in EVERYWHERE {
        assert_eq!(head.matches(header).count(), 1, "{header:?} in {head}");
    }
    // What has a validator may be kept by its caller, who asks each time; everything else by nobody.
    let cache = if head.contains("\r\netag: ") { "private, no-cache" } else { "no-store" };
    assert_eq!(head.matches(&format!("\r\ncache-control: {cache}\r\n")).count(), 1, "{head}");
    assert!(head.contains("\r\nx-request-id: "), "{head}");
    assert!(!head.contains("strict-transport-security"), "in clear text it must not be sent (RFC 6797): {head}");
}

#[tokio::test]
async fn every_answer_bears_the_headers_that_bind_browsers() {
    let service = Service::start().await;
    let json = record("a").to_string();
    let post = format!("POST /v1/records HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}", json.len());
    let table = [
        (post.as_str(), json.as_str(), 201),
        (&post, &json, 200),
        ("POST /v1/records/batch HTTP/1.1\r\ncontent-type: application/x-ndjson\r\ncontent-length: 0", "", 200),
        ("POST /v1/records HTTP/1.1\r\ncontent-type: text/csv\r\ncontent-length: 0", "", 415),
        ("GET /v1/records HTTP/1.1", "", 200),
        ("HEAD /v1/records HTTP/1.1", "", 200),
        ("GET /v1/aggregates HTTP/1.1", "", 200),
        ("GET /v1/records?limit=0 HTTP/1.1", "", 400),
        ("GET /nothing HTTP/1.1", "", 404),
        ("DELETE /v1/records HTTP/1.1", "", 405),
        ("OPTIONS /v1/records HTTP/1.1", "", 204),
        ("GET /healthz HTTP/1.1", "", 200),
    ];
    for (head, body, status) in table {
        let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\n\r\n{body}");
        check(&exchange(service.addr, request).await, status);
    }
    check(&exchange(service.addr, "nonsense\r\n\r\n").await, 400);
    check(&exchange(service.addr, format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200))).await, 431);

    let mut stream = Raw::connect(service.addr).await;
    stream.send("GET /v1/alerts/stream HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    check(&stream.until("\r\n\r\n").await, 200);

    service.store.panics.store(true, Ordering::SeqCst);
    check(
        &exchange(service.addr, "GET /v1/records/a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await,
        500,
    );
}

#[tokio::test]
async fn a_request_names_its_host_once() {
    let service = Service::start().await;
    for (version, hosts, status) in [
        ("1.1", "", 400),
        ("1.1", "host: localhost\r\n", 200),
        ("1.1", "host: localhost\r\nHost: localhost\r\n", 400),
        ("1.1", "host: localhost\r\nhost: evil.example\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "host: localhost\r\nhost: localhost\r\n", 400),
    ] {
        let request = format!("GET /v1/records HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let answer = exchange(service.addr, request).await;
        assert!(answer.starts_with(&format!("HTTP/{version} {status} ")), "{version} {hosts:?}: {answer}");
        assert!(status == 200 || answer.contains("urn:tallyhouse:problem:bad-parameter"), "{answer}");
    }
}
