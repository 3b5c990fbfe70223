//! What callers share, by HTTP/1 and HTTP/2: connections, room for answers and bodies, and places. No caller shuts the
//! others out.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use tallyhouse_http::{HttpSettings, KeyRing, NewKey, Scope};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::support::raw_http2::{RawHttp2, connect_from};
use crate::support::service::{Plan, Response, Service, eventually, record, various};

const PATIENCE: Duration = Duration::from_secs(20);

/// A service with two keys that may do everything.
struct Shared {
    service: Service,
    keys: [NewKey; 2],
    _folder: TempDir,
}

impl Shared {
    async fn start(http: HttpSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = ["greedy", "other"].map(|name| NewKey::make(name, &[Scope::Read, Scope::Ingest]).unwrap());
        let path = folder.path().join("keys.toml");
        fs::write(&path, keys.each_ref().map(NewKey::entry).concat()).unwrap();
        let ring = Some(Arc::new(KeyRing::open(path).unwrap()));
        let service = Plan { keys: ring, http, ..Plan::default() }.start().await;
        Self { service, keys, _folder: folder }
    }

    fn get(&self, who: usize, path: &str) -> reqwest::RequestBuilder {
        self.service.client.get(self.service.url(path)).bearer_auth(self.keys[who].text())
    }

    fn post(&self, who: usize, path: &str, json: String) -> reqwest::RequestBuilder {
        let request = self.service.client.post(self.service.url(path)).bearer_auth(self.keys[who].text());
        request.header("content-type", "application/json").body(json)
    }

    /// Begins reads of records by id, and returns once the service works on all of them.
    async fn begin_reads(&self, who: usize, ids: &[String]) -> (RawHttp2, Vec<h2::client::ResponseFuture>) {
        let mut client = RawHttp2::connect(self.service.addr, 65_535).await;
        let mut answers = Vec::new();
        for id in ids {
            let request = self.by_http2(who, "GET", &format!("/v1/records/{id}"));
            answers.push(client.begin(request).await);
        }
        // Requests of one connection are begun in their order.
        assert_eq!(client.get("/healthz").await.unwrap().status(), 200);
        (client, answers.into_iter().map(|(answer, _)| answer).collect())
    }

    fn by_http2(&self, who: usize, method: &str, path: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
        let request = request.header("authorization", format!("Bearer {}", self.keys[who].text()));
        request.header("content-type", "application/json").body(()).unwrap()
    }
}

/// Asks from an address of this machine, and returns the beginning of the answer; empty where there is none.
async fn ask_from(from: &str, service: &Service, path: &str) -> String {
    let mut socket = connect_from(from, service.addr).await;
    let asked = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut answer = vec![0; 12];
    let asking = async {
        socket.write_all(asked.as_bytes()).await?;
        socket.read_exact(&mut answer).await
    };
    let read = timeout(PATIENCE, asking).await.expect("no answer");
    if read.is_ok() { String::from_utf8(answer).unwrap() } else { String::new() }
}

#[tokio::test]
async fn one_address_leaves_connections_to_the_others_and_probes_are_answered_to_all() {
    let http = HttpSettings { connections_max: 16, ..HttpSettings::default() };
    let service = Plan::http(http).start().await;
    let mut greedy = Vec::new();
    for _ in 0..12 {
        let mut client = RawHttp2::connect(service.addr, 0).await;
        greedy.push((client.get("/v1/records").await.unwrap(), client));
    }
    assert_eq!(ask_from("127.0.0.1", &service, "/v1/records").await, "HTTP/1.1 503");
    assert_eq!(ask_from("127.0.0.1", &service, "/healthz").await, "HTTP/1.1 200");
    assert_eq!(ask_from("127.0.0.1", &service, "/readyz").await, "HTTP/1.1 200");
    let mut beyond = RawHttp2::connect(service.addr, 65_535).await;
    assert_eq!(beyond.get("/healthz").await.unwrap().status(), 200);
    beyond.closed().await;

    let mut other = RawHttp2::connect_from("127.0.0.2", service.addr, 65_535).await;
    assert_eq!(other.get("/v1/records").await.unwrap().status(), 200);
    assert_eq!(ask_from("127.0.0.2", &service, "/v1/records").await, "HTTP/1.1 200");
    drop(greedy);
    eventually_served(&service).await;
}

/// Waits until the greedy address has places again.
async fn eventually_served(service: &Service) {
    let serving = async { while ask_from("127.0.0.1", service, "/v1/records").await != "HTTP/1.1 200" {} };
    timeout(PATIENCE, serving).await.expect("closed connections leave no room");
}

#[tokio::test]
async fn connections_without_a_request_leave_the_waiting_room_to_probes_too() {
    let http = HttpSettings { connections_max: 1, ..HttpSettings::default() };
    let service = Plan::http(http).start().await;
    let mut silent = Vec::new();
    // The one place, and what the waiting room has for one address: the others are closed.
    for _ in 0..100 {
        silent.push(connect_from("127.0.0.1", service.addr).await);
    }
    let closed = || silent.iter().filter(|socket| is_closed(socket)).count();
    eventually("connections are closed that there is no room for", || closed() >= 51).await;
    assert_eq!(ask_from("127.0.0.2", &service, "/healthz").await, "HTTP/1.1 200");
    assert_eq!(ask_from("127.0.0.2", &service, "/v1/records").await, "HTTP/1.1 503");
}

fn is_closed(socket: &tokio::net::TcpStream) -> bool {
    !matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn answers_that_nobody_reads_have_a_budget_and_a_caller_has_a_share_of_it() {
    let http = HttpSettings { response_buffer_bytes_max: 4 << 20, ..HttpSettings::default() };
    let shared = Shared::start(http).await;
    let stored = shared.post(0, "/v1/records/batch", serde_json::json!(various(2_000)).to_string());
    assert_eq!(Response::of(stored.send().await.unwrap()).await.status, 200);
    let page = Response::of(shared.get(1, "/v1/records?limit=1000").send().await.unwrap()).await.body.len();

    let mut greedy = RawHttp2::connect(shared.service.addr, 0).await;
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..60 {
        let (answer, _) = greedy.send(shared.by_http2(0, "GET", "/v1/records?limit=1000"), true).await.unwrap();
        match answer.status().as_u16() {
            200 => kept.push(answer),
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    // Three quarters, and the one that exceeds them.
    assert!(kept.len() * page < (3 << 20) + 2 * page && refused > 0, "{} pages of {page} bytes", kept.len());
    assert!(kept.len() * page > 2 << 20, "{} pages of {page} bytes", kept.len());
    // A write is not refused for what it has to say, by neither version; nor is another caller's page.
    let records = serde_json::json!((0..100).map(|i| record(&format!("w{i}"))).collect::<Vec<_>>()).to_string();
    let written = Response::of(shared.post(0, "/v1/records/batch", records).send().await.unwrap()).await;
    assert_eq!((written.status, written.json()["processed"].as_u64()), (200, Some(100)));
    assert_eq!(shared.get(0, "/v1/records?limit=1000").send().await.unwrap().status(), 503);
    assert_eq!(shared.get(1, "/v1/records?limit=1000").send().await.unwrap().status(), 200);
    drop((kept, greedy));
    let freed = async { while shared.get(0, "/v1/records?limit=1000").send().await.unwrap().status() != 200 {} };
    timeout(PATIENCE, freed).await.expect("the room is never given back");
}

#[tokio::test]
async fn streams_beyond_the_budget_are_refused_before_they_are_begun() {
    let http = HttpSettings { response_buffer_bytes_max: 64 * 1024, ..HttpSettings::default() };
    let service = Plan::http(http).start().await;
    let mut greedy = RawHttp2::connect(service.addr, 0).await;
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..20 {
        match greedy.get("/healthz").await {
            Ok(answer) => kept.push(answer),
            Err(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((kept.len(), refused), (6, 14));
    let mut other = RawHttp2::connect_from("127.0.0.2", service.addr, 65_535).await;
    assert_eq!(other.get("/healthz").await.unwrap().status(), 200);
    assert_eq!(ask_from("127.0.0.1", &service, "/healthz").await, "HTTP/1.1 200");
}

#[tokio::test]
async fn one_key_takes_neither_all_event_streams_nor_all_aggregates() {
    let http = HttpSettings { event_streams_max: 8, ..HttpSettings::default() };
    let shared = Shared::start(http).await;
    // More than all buffers between the two hold.
    for records in various(60_000).chunks(10_000) {
        let stored = shared.post(0, "/v1/records/batch?results=failed", serde_json::json!(records).to_string());
        assert_eq!(Response::of(stored.send().await.unwrap()).await.status, 200);
    }
    for (path, expect) in [("/v1/notifications/stream", 6), ("/v1/aggregates", 3)] {
        // Half by HTTP/1, half by HTTP/2: they are of one key.
        let mut greedy = RawHttp2::connect(shared.service.addr, 1_024).await;
        let (mut kept, mut kept_by_http2) = (Vec::new(), Vec::new());
        for i in 0..expect {
            if i % 2 == 0 {
                kept.push(shared.get(0, path).send().await.unwrap());
            } else {
                kept_by_http2.push(greedy.send(shared.by_http2(0, "GET", path), true).await.unwrap().0);
            }
        }
        assert!(kept.iter().all(|answer| answer.status() == 200), "{path}");
        assert!(kept_by_http2.iter().all(|answer| answer.status() == 200), "{path}");
        assert_eq!(shared.get(0, path).send().await.unwrap().status(), 503, "{path}");
        assert_eq!(greedy.send(shared.by_http2(0, "GET", path), true).await.unwrap().0.status(), 503, "{path}");
        assert_eq!(shared.get(1, path).send().await.unwrap().status(), 200, "{path}");
    }
}

#[tokio::test]
async fn uploads_hold_room_for_what_has_arrived_and_not_for_what_they_announce() {
    let http = HttpSettings { batch_bytes_max: 1 << 20, batch_buffer_bytes_max: 2 << 20, ..HttpSettings::default() };
    let shared = Shared::start(http).await;
    let head = format!(
        "POST /v1/records/batch HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n[",
        shared.keys[0].text(),
        1 << 20
    );
    let mut by_http2 = RawHttp2::connect(shared.service.addr, 65_535).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut socket = connect_from("127.0.0.1", shared.service.addr).await;
        socket.write_all(head.as_bytes()).await.unwrap();
        let (answer, mut body) = by_http2.begin(shared.by_http2(0, "POST", "/v1/records/batch")).await;
        body.send_data(Bytes::from_static(b"["), false).unwrap();
        slow.push((socket, answer, body));
    }
    let batch = |who, id: &str| {
        let sent = shared.post(who, "/v1/records/batch", serde_json::json!([record(id)]).to_string()).send();
        async { timeout(Duration::from_secs(5), sent).await.expect("it waits for room").unwrap().status() }
    };
    assert_eq!(batch(0, "a").await, 200);
    assert_eq!(batch(1, "b").await, 200);
}

#[tokio::test]
async fn uploads_that_fill_the_intake_leave_single_records_their_own() {
    let mut plan = Plan::default();
    plan.pipeline.intake_records_max = 4;
    let service = plan.start().await;
    service.store.shut_gate();
    let uploads = (0..4).map(|upload| {
        let records: Vec<_> = (0..4).map(|n| record(&format!("{upload}-{n}"))).collect();
        tokio::spawn(service.client.post(service.url("/v1/records/batch")).json(&records).send())
    });
    let uploads: Vec<_> = uploads.collect();
    let waiting = || service.pipeline.readings().ingresses.iter().map(|ingress| ingress.waiting_records).sum::<u64>();
    eventually("an upload has the whole capacity", || waiting() == 4).await;
    let single = tokio::spawn(service.client.post(service.url("/v1/records")).json(&record("single")).send());
    eventually("the single record waits, too", || waiting() == 5).await;
    service.store.gate.add_permits(100);
    assert_eq!(timeout(PATIENCE, single).await.expect("no answer").unwrap().unwrap().status(), 201);
    for upload in uploads {
        assert_eq!(upload.await.unwrap().unwrap().status(), 200);
    }
}

/// The store lets one read through after the other, and tells which: no clock decides.
#[tokio::test]
async fn a_read_of_one_key_is_next_however_many_another_key_has_queued() {
    let http = HttpSettings { reads_max: 1, ..HttpSettings::default() };
    let shared = Shared::start(http).await;
    let store = &shared.service.store;
    store.hold_finds();
    let ids: Vec<String> = (0..50).map(|n| format!("greedy-{n:02}")).collect();
    let (_greedy, mut greedy) = shared.begin_reads(0, &ids).await;
    let (_other, other) = shared.begin_reads(1, &["other".to_owned()]).await;
    let looked_up = || store.found.lock().unwrap().clone();
    assert_eq!(looked_up(), ["greedy-00"], "one read is in flight at a time");

    store.finds.add_permits(1);
    eventually("the next read begins", || looked_up().len() == 2).await;
    assert_eq!(looked_up(), ["greedy-00", "other"]);
    store.finds.add_permits(50);
    for answer in greedy.drain(..).chain(other) {
        assert_eq!(timeout(PATIENCE, answer).await.expect("no answer").unwrap().status(), 404);
    }
    assert_eq!(looked_up()[2..], ids[1..], "a caller's own reads come in their order");
}

#[tokio::test]
async fn one_key_leaves_places_to_read_to_the_others() {
    let shared = Shared::start(HttpSettings::default()).await;
    let store = &shared.service.store;
    store.hold_finds();
    let ids: Vec<String> = (0..50).map(|n| format!("greedy-{n:02}")).collect();
    let (_greedy, _waiting) = shared.begin_reads(0, &ids).await;
    assert_eq!(store.found.lock().unwrap().len(), 3, "three quarters of the places");
    let (_other, _answer) = shared.begin_reads(1, &["other".to_owned()]).await;
    assert_eq!(store.found.lock().unwrap().last().map(String::as_str), Some("other"));
    store.finds.add_permits(60);
}
