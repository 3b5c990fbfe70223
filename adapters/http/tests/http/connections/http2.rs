//! HTTP/2 in clear text, with prior knowledge.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::support::service::{Service, record, various};

/// Reads a body to its end, as far as a test's answers go.
async fn whole(body: Incoming) -> Result<Bytes, hyper::Error> {
    #[expect(clippy::disallowed_methods, reason = "the test's own answers are small")]
    let collected = body.collect().await?;
    Ok(collected.to_bytes())
}

/// Connects by HTTP/2, with prior knowledge.
pub(crate) async fn connect(service: &Service) -> SendRequest<Full<Bytes>> {
    let socket = tokio::net::TcpStream::connect(service.addr).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn call(sender: &mut SendRequest<Full<Bytes>>, method: &str, url: String, body: String) -> (u16, String) {
    let request = Request::builder().method(method).uri(url).header("content-type", "application/json");
    let response = sender.send_request(request.body(Full::from(body)).unwrap()).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
    let status = response.status().as_u16();
    let body = whole(response.into_body()).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let service = Service::start().await;
    let sender = connect(&service).await;
    let calls = (0..50).map(|i| {
        let (mut sender, url) = (sender.clone(), service.url("/v1/records"));
        async move { call(&mut sender, "POST", url, record(&format!("r{i}")).to_string()).await.0 }
    });
    let statuses = futures::future::join_all(calls).await;
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    let (status, body) = call(&mut sender.clone(), "GET", service.url("/v1/summaries/IAH"), String::new()).await;
    let json: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &json["summaries"][0]["sequence"]), (200, &json!(50)));
}

#[tokio::test]
async fn answers_larger_than_a_window_come_whole() {
    let service = Service::start().await;
    service.store_all(&various(5_000)).await;
    let mut sender = connect(&service).await;
    let (status, body) = call(&mut sender, "GET", service.url("/v1/aggregates"), String::new()).await;
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["recordCount"], 5_000);
}

#[tokio::test]
async fn a_stop_ends_the_connection_in_good_order() {
    let service = Service::start().await;
    let mut sender = connect(&service).await;
    let request = Request::get(service.url("/v1/notifications/stream")).body(Full::default()).unwrap();
    let stream = sender.send_request(request).await.unwrap().into_body();
    service.stop.cancel();
    let all = whole(stream).await.expect("the stream ends well");
    assert!(all.starts_with(b": following"));
    service.served.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let service = Service::start().await;
    service.store_all(&various(100)).await;
    service.store.parts_left.store(1, std::sync::atomic::Ordering::SeqCst);
    let mut sender = connect(&service).await;
    let request = Request::get(service.url("/v1/aggregates")).body(Full::default()).unwrap();
    let broken = match sender.send_request(request).await {
        Ok(response) => whole(response.into_body()).await.is_err(),
        Err(_) => true,
    };
    assert!(broken);
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_headers_is_refused_and_the_connection_lives_on() {
    let service = Service::start().await;
    let mut sender = connect(&service).await;
    let large = "y".repeat(70_000);
    for (headers, value) in [(101, "y"), (1, large.as_str())] {
        let mut request = Request::get(service.url("/healthz"));
        for i in 0..headers {
            request = request.header(format!("x-{i}"), value);
        }
        let response = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 431);
        assert!(response.headers().contains_key("x-request-id"));
        let problem: Value = serde_json::from_slice(&whole(response.into_body()).await.unwrap()).unwrap();
        assert_eq!(problem["type"], "urn:tallyhouse:problem:too-large");
        assert_eq!(problem["status"], 431);
    }
    assert_eq!(call(&mut sender, "GET", service.url("/healthz"), String::new()).await.0, 200);
}

/// An upload in lines by HTTP/2, whose body is sent as the test goes on.
struct Upload {
    body: tokio::sync::mpsc::Sender<Bytes>,
    answer: Incoming,
}

/// Begins uploads on one connection.
async fn uploads<const N: usize>(service: &Service) -> [Upload; N] {
    let socket = tokio::net::TcpStream::connect(service.addr).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let begin = |_| {
        let (mut sender, url) = (sender.clone(), service.url("/v1/records/batch"));
        async move {
            let (body, pieces) = tokio::sync::mpsc::channel(1);
            let pieces = futures::stream::unfold(pieces, |mut pieces| async move {
                let piece = pieces.recv().await?;
                Some((Ok::<_, std::io::Error>(Frame::data(piece)), pieces))
            });
            let request = Request::post(url).header("content-type", "application/x-ndjson");
            let request = request.body(StreamBody::new(Box::pin(pieces))).unwrap();
            Upload { body, answer: sender.send_request(request).await.unwrap().into_body() }
        }
    };
    let begun = futures::future::join_all((0..N).map(begin)).await;
    begun.try_into().unwrap_or_else(|_| unreachable!("there are as many as were begun"))
}

#[tokio::test]
async fn long_lines_on_one_connection_wait_for_each_other_and_none_is_lost() {
    let service = Service::start().await;
    // More than one connection keeps at once.
    let mut uploads: [Upload; 24] = uploads(&service).await;
    for (n, upload) in uploads.iter().enumerate() {
        let line = record(&format!("r{n}")).to_string();
        upload.body.send(Bytes::from(format!("{line}{}", " ".repeat(40_000 - line.len())))).await.unwrap();
    }
    for upload in &uploads {
        upload.body.send(Bytes::from_static(b"\n")).await.unwrap();
    }
    for (n, upload) in uploads.iter_mut().enumerate() {
        let frame = tokio::time::timeout(Duration::from_secs(10), upload.answer.frame()).await.unwrap();
        let result: Value = serde_json::from_slice(&frame.unwrap().unwrap().into_data().unwrap()).unwrap();
        assert_eq!((&result["recordId"], &result["outcome"]), (&json!(format!("r{n}")), &json!("processed")));
    }
}
