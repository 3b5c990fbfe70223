//! Clients that take or send too little, by HTTP/1 and HTTP/2, and what they hold meanwhile.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use tallyhouse_http::HttpSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::raw::Raw;
use crate::support::raw_http2::{Ended, RawHttp2, read_slowly};
use crate::support::service::{Plan, Service, various};

const PATIENCE: Duration = Duration::from_secs(20);

fn quick() -> HttpSettings {
    HttpSettings {
        stall_timeout: Duration::from_secs(1),
        body_pause_timeout: Duration::from_millis(500),
        bytes_per_second_min: 64 * 1024,
        idle_timeout: Duration::from_secs(600),
        ..HttpSettings::default()
    }
}

/// Begins a request by HTTP/1, from a socket that holds little.
async fn begin(service: &Service, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut socket = socket.connect(service.addr).await.unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    socket
}

/// Reads so much after each pause, and returns whether the answer came to its end.
async fn read_slowly_by_http1(mut socket: TcpStream, bytes: usize, pause: Duration) -> bool {
    let mut last = Vec::new();
    let reading = async {
        let mut buf = vec![0; bytes];
        loop {
            sleep(pause).await;
            match socket.read(&mut buf).await {
                Ok(0) | Err(_) => return false,
                Ok(n) => last = [&last[..], &buf[..n]].concat(),
            }
            last.drain(..last.len().saturating_sub(16));
            if last.ends_with(b"0\r\n\r\n") {
                return true;
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the answer neither ends nor breaks off")
}

#[tokio::test]
async fn a_client_that_opens_no_window_is_ended_however_short_the_answer() {
    let service = Plan::http(quick()).start().await;
    service.store_all(&various(1_000)).await;
    for path in ["/healthz", "/v1/records?limit=1000", "/v1/aggregates", "/v1/notifications/stream"] {
        let mut silent = RawHttp2::connect(service.addr, 0).await;
        let answer = silent.get(path).await.unwrap();
        assert_eq!(read_slowly(answer, 1, Duration::ZERO).await, Ended::Reset(h2::Reason::CANCEL), "{path}");
        silent.closed().await;
    }
}

#[tokio::test]
async fn a_window_of_one_byte_saves_nobody() {
    let service = Plan::http(quick()).start().await;
    for path in ["/healthz", "/v1/notifications/stream", "/openapi.json"] {
        let mut silent = RawHttp2::connect(service.addr, 1).await;
        let _unread = silent.get(path).await.unwrap();
        silent.closed().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_read_too_slowly_is_ended_and_its_place_is_free_again() {
    let mut plan = Plan::http(quick());
    plan.http.aggregates_max = 1;
    let service = plan.start().await;
    service.store_all(&various(60_000)).await;
    let slow = RawHttp2::connect(service.addr, 4_096).await.get("/v1/aggregates").await.unwrap();
    let ended = read_slowly(slow, 4_096, Duration::from_millis(200)).await;
    assert_eq!(ended, Ended::Reset(h2::Reason::CANCEL), "20 KiB a second by HTTP/2");
    place_is_free(&service).await;
    let mut slow = begin(&service, "/v1/aggregates").await;
    slow.read_exact(&mut [0]).await.unwrap();
    let trickle = async {
        while slow.read(&mut [0; 2_048]).await.is_ok_and(|n| n > 0) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        // What lies in the system's buffers takes minutes at this rate.
        () = trickle => panic!("the whole answer came"),
        () = place_is_free(&service) => {}
    }
    assert!(!read_slowly_by_http1(slow, 65_536, Duration::ZERO).await, "20 KiB a second by HTTP/1");
}

/// Waits until an answer that is never kept in memory has a place.
async fn place_is_free(service: &Service) {
    let began = Instant::now();
    while service.get("/v1/aggregates?limit=1").await.status != 200 {
        assert!(began.elapsed() < PATIENCE, "the place is never given back");
    }
}

#[tokio::test]
async fn a_client_that_is_slow_but_fast_enough_reads_to_the_end() {
    let mut plan = Plan::http(quick());
    // Below any machine's hesitation.
    (plan.http.stall_timeout, plan.http.bytes_per_second_min) = (Duration::from_secs(4), 64 * 1024);
    let service = plan.start().await;
    service.store_all(&various(4_000)).await;
    let slow = RawHttp2::connect(service.addr, 65_536).await.get("/v1/aggregates").await.unwrap();
    let by_http1 = begin(&service, "/v1/aggregates").await;
    let pause = Duration::from_millis(100);
    let (by_http2, by_http1) =
        tokio::join!(read_slowly(slow, 32_768, pause), read_slowly_by_http1(by_http1, 32_768, pause));
    assert_eq!((by_http2, by_http1), (Ended::Whole, true));
}

#[tokio::test]
async fn a_stop_waits_for_no_client_that_reads_nothing() {
    let mut plan = Plan::http(quick());
    // A quarter of it is what such clients may take: four seconds leave twelve to a busy machine.
    let drain_timeout = Duration::from_secs(16);
    (plan.http.stall_timeout, plan.http.drain_timeout) = (Duration::from_secs(600), drain_timeout);
    let service = plan.start().await;
    service.store_all(&various(60_000)).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut client = RawHttp2::connect(service.addr, 0).await;
        let answer = client.get("/healthz").await.unwrap();
        silent.push((client, answer));
    }
    let mut by_http1 = begin(&service, "/v1/aggregates").await;
    by_http1.read_exact(&mut [0]).await.unwrap();
    let half_a_head = TcpStream::connect(service.addr).await.unwrap();
    half_a_head.try_write(b"GET / HT").unwrap();
    let began = Instant::now();
    service.stop.cancel();
    timeout(PATIENCE, service.served).await.expect("the stop hangs").unwrap();
    assert!(began.elapsed() < drain_timeout, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_ends_some_grace_after_its_greatest_age() {
    let mut plan = Plan::http(quick());
    (plan.http.connection_age_max, plan.http.connection_grace) =
        (Duration::from_millis(300), Duration::from_millis(300));
    let service = plan.start().await;
    let mut by_http1 = Raw::connect(service.addr).await;
    by_http1
        .send(
            "POST /v1/records/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
               transfer-encoding: chunked\r\n\r\n",
        )
        .await;
    let mut by_http2 = RawHttp2::connect(service.addr, 65_535).await;
    let request = Request::post("http://localhost/v1/records/batch").header("content-type", "application/x-ndjson");
    let (_answer, mut body) = by_http2.send(request.body(()).unwrap(), false).await.unwrap();
    // Neither rests, so that only their age can end them.
    let trickle = async {
        let (mut one, mut two) = (true, true);
        while one || two {
            one = one && by_http1.socket.write_all(b"1\r\n\n\r\n").await.is_ok();
            two = two && body.send_data(Bytes::from_static(b"\n"), false).is_ok();
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, trickle).await.expect("a connection of any age lives on");
}

#[tokio::test]
async fn an_upload_that_trickles_is_a_timeout() {
    let service = Plan::http(quick()).start().await;
    let request = || Request::post("http://localhost/v1/records/batch").header("content-type", "application/json");
    let mut client = RawHttp2::connect(service.addr, 65_535).await;
    let (answer, mut body) = client.begin(request().body(()).unwrap()).await;
    let mut by_http1 = Raw::connect(service.addr).await;
    let head = "POST /v1/records/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    by_http1.send(format!("{head}content-length: 1000000\r\n\r\n")).await;
    let trickle = async {
        // No pause is as long as the pause that is allowed.
        while body.send_data(Bytes::from_static(b" "), false).is_ok() {
            _ = by_http1.socket.write_all(b" ").await;
            sleep(Duration::from_millis(100)).await;
        }
    };
    let answered = async {
        assert_eq!(answer.await.unwrap().status(), 408);
    };
    let either = async {
        tokio::select! {
            () = trickle => panic!("the stream ended without an answer"),
            () = answered => {}
        }
    };
    timeout(PATIENCE, either).await.expect("it is never refused");
    assert!(by_http1.rest().await.starts_with("HTTP/1.1 408 "));
}

#[tokio::test]
async fn a_snapshot_that_is_too_old_ends_its_answer() {
    let mut plan = Plan::http(quick());
    plan.http.aggregates_max = 1;
    // Nothing else can end it.
    (plan.http.snapshot_age_max, plan.http.stall_timeout) = (Duration::from_millis(500), Duration::from_secs(600));
    let service = plan.start().await;
    service.store_all(&various(60_000)).await;
    for path in ["/v1/aggregates", "/v1/export"] {
        let mut client = RawHttp2::connect(service.addr, 16_384).await;
        let by_http2 = client.get(path).await.unwrap();
        place_is_free(&service).await;
        let ended = read_slowly(by_http2, 8_192, Duration::ZERO).await;
        assert!(matches!(ended, Ended::Reset(_)), "{path}: {ended:?}");
        let mut by_http1 = begin(&service, path).await;
        by_http1.read_exact(&mut [0]).await.unwrap();
        place_is_free(&service).await;
        assert!(!read_slowly_by_http1(by_http1, 65_536, Duration::ZERO).await, "{path}");
    }
}
