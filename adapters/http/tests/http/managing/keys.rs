//! API keys: which call needs which scope, and that keys come and go while the service runs.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use tallyhouse_http::{KeyRing, NewKey, Scope};
use tempfile::TempDir;

use crate::support::raw::Raw;
use crate::support::service::{Plan, Response, Service, record};

/// A service with one key for each scope.
struct Guarded {
    service: Service,
    ingest: NewKey,
    read: NewKey,
    admin: NewKey,
    folder: TempDir,
}

impl Guarded {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = |scope: Scope| NewKey::make(scope.name(), &[scope]).unwrap();
        let (ingest, read, admin) = (key(Scope::Ingest), key(Scope::Read), key(Scope::Admin));
        let path = folder.path().join("keys.toml");
        fs::write(&path, format!("{}{}{}", ingest.entry(), read.entry(), admin.entry())).unwrap();
        let keys = Some(Arc::new(KeyRing::open(path).unwrap()));
        let service = Plan { keys, ..Plan::default() }.start().await;
        Self { service, ingest, read, admin, folder }
    }

    fn key(&self, scope: Scope) -> &str {
        match scope {
            Scope::Ingest => self.ingest.text(),
            Scope::Read => self.read.text(),
            Scope::Admin => self.admin.text(),
        }
    }

    async fn call(&self, method: &str, path: &str, authorization: Option<&str>) -> Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.service.client.request(method.clone(), self.service.url(path));
        if method == Method::POST && path.starts_with("/v1/records") {
            request = request.header(CONTENT_TYPE, "application/json").body(record("a").to_string());
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        Response::of(request.send().await.unwrap()).await
    }
}

/// What each call needs, and its answer to a key that has it.
const CALLS: [(&str, &str, Scope, u16); 26] = [
    ("POST", "/v1/records", Scope::Ingest, 201),
    ("POST", "/v1/records/batch", Scope::Ingest, 422),
    ("GET", "/v1/records/b%61tch", Scope::Read, 404),
    ("GET", "/v1/records", Scope::Read, 200),
    ("HEAD", "/v1/records", Scope::Read, 200),
    ("GET", "/v1/records/a", Scope::Read, 200),
    ("GET", "/v1/records/batch", Scope::Read, 404),
    ("GET", "/v1/aggregates", Scope::Read, 200),
    ("HEAD", "/v1/aggregates", Scope::Read, 200),
    ("GET", "/v1/summaries/IAH", Scope::Read, 200),
    ("GET", "/v1/notifications", Scope::Read, 200),
    ("GET", "/v1/alerts", Scope::Read, 200),
    ("GET", "/metrics", Scope::Read, 404),
    ("HEAD", "/v1/notifications/stream", Scope::Read, 200),
    ("HEAD", "/v1/alerts/stream", Scope::Read, 200),
    ("GET", "/v1/records?limit=0", Scope::Read, 400),
    ("GET", "/v1/dead-letters", Scope::Admin, 404),
    ("HEAD", "/v1/dead-letters", Scope::Admin, 404),
    ("POST", "/v1/dead-letters/1-0/replay", Scope::Admin, 404),
    ("DELETE", "/v1/dead-letters/1-0", Scope::Admin, 404),
    ("GET", "/v1/alert-rules", Scope::Admin, 200),
    ("GET", "/v1/alert-rules/large", Scope::Admin, 200),
    ("PUT", "/v1/alert-rules/large", Scope::Admin, 400),
    ("DELETE", "/v1/alert-rules/large", Scope::Admin, 404),
    ("POST", "/v1/alert-rules/large/dry-run", Scope::Admin, 400),
    ("GET", "/v1/summaries/%00", Scope::Read, 400),
];

#[track_caller]
fn check_unauthorized(answer: &Response, what: &str) {
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{what}: {answer:?}");
}

#[tokio::test]
async fn every_call_needs_a_key_with_its_scope() {
    let guarded = Guarded::start().await;
    let unknown = format!("Bearer {}", NewKey::make("read", &[Scope::Read]).unwrap().text());
    for (method, path, needs, status) in CALLS {
        let what = format!("{method} {path}");
        check_unauthorized(&guarded.call(method, path, None).await, &what);
        check_unauthorized(&guarded.call(method, path, Some(&unknown)).await, &what);
        for scope in [Scope::Ingest, Scope::Read, Scope::Admin] {
            for scheme in ["Bearer", "bearer"] {
                let answer = guarded.call(method, path, Some(&format!("{scheme} {}", guarded.key(scope)))).await;
                if scope != needs {
                    assert_eq!(answer.status, 403, "{what} {scope}");
                } else if status == 201 {
                    assert!(matches!(answer.status, 200 | 201), "{what} {scope}: {answer:?}");
                } else {
                    assert_eq!(answer.status, status, "{what} {scope}: {answer:?}");
                }
                assert!(answer.headers.get("www-authenticate").is_none(), "{what} {scope}");
            }
        }
    }
}

#[tokio::test]
async fn refusals_are_problems_that_tell_nothing_of_the_keys() {
    let guarded = Guarded::start().await;
    let none = guarded.call("GET", "/v1/records", None).await;
    none.is_problem(401, "unauthorized");
    let nearly = format!("Bearer {}x", guarded.read.text());
    for authorization in ["Bearer", "Bearer ", "Basic dXNlcjpw", guarded.read.text(), "Bearer th_", &nearly] {
        let answer = guarded.call("GET", "/v1/records", Some(authorization)).await;
        answer.is_problem(401, "unauthorized");
        assert_eq!(answer.body, none.body, "{authorization}");
    }
    let forbidden = guarded.call("POST", "/v1/records", Some(&format!("Bearer {}", guarded.read.text()))).await;
    forbidden.is_problem(403, "forbidden");
    assert!(forbidden.body.contains("the scope ingest"), "{}", forbidden.body);
}

#[tokio::test]
async fn without_a_key_nobody_learns_which_paths_there_are() {
    let guarded = Guarded::start().await;
    let known = guarded.call("GET", "/v1/records", None).await;
    let key = format!("Bearer {}", guarded.ingest.text());
    let table = [
        ("GET", "/nothing", 404),
        ("GET", "/assets/none.js", 404),
        ("POST", "/v1/records/a/b", 404),
        ("GET", "/v1/records/%ff", 400),
        ("POST", "/v1/%72ecords/batch", 404),
        ("POST", "/v1/records/b%61tch", 405),
        ("DELETE", "/v1/records", 405),
        ("GET", "/v1/dead-letters/1-0", 405),
        ("TRACE", "/v1/aggregates", 405),
        ("OPTIONS", "/v1/records", 204),
    ];
    for (method, path, status) in table {
        let refused = guarded.call(method, path, None).await;
        check_unauthorized(&refused, path);
        assert_eq!(refused.body, known.body, "{method} {path}");
        assert_eq!(guarded.call(method, path, Some(&key)).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn health_and_the_dashboard_are_open_to_everybody() {
    let guarded = Guarded::start().await;
    for path in ["/healthz", "/readyz", "/", "/assets/app.js"] {
        for authorization in [None, Some("Bearer th_unknown"), Some("Basic x")] {
            assert_eq!(guarded.call("GET", path, authorization).await.status, 200, "{path} {authorization:?}");
        }
        assert_eq!(guarded.call("POST", path, None).await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn a_call_is_refused_before_its_body_is_asked_for() {
    let guarded = Guarded::start().await;
    let mut raw = Raw::connect(guarded.service.addr).await;
    raw.send(
        "POST /v1/records HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\
         expect: 100-continue\r\n\r\n",
    )
    .await;
    let head = raw.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

#[tokio::test]
async fn keys_come_and_go_while_the_service_runs() {
    let guarded = Guarded::start().await;
    let new = NewKey::make("read", &[Scope::Read]).unwrap();
    let status = async |key: &NewKey| {
        let authorization = format!("Bearer {}", key.text());
        guarded.call("GET", "/v1/records", Some(&authorization)).await.status
    };
    let becomes = async |key: &NewKey, expect: u16| {
        let waiting = async {
            while status(key).await != expect {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.is_ok(), "never {expect}");
    };
    assert_eq!((status(&guarded.read).await, status(&new).await), (200, 401));
    let path = guarded.folder.path().join("keys.toml");
    fs::write(&path, format!("{}{}", guarded.read.entry(), new.entry())).unwrap();
    becomes(&new, 200).await;
    assert_eq!(status(&guarded.read).await, 200);
    fs::write(&path, new.entry()).unwrap();
    becomes(&guarded.read, 401).await;
    assert_eq!(status(&new).await, 200);
}

/// Sends the head of a request.
async fn begin(guarded: &Guarded, call: &str, key: &NewKey, more: &str) -> Raw {
    let mut raw = Raw::connect(guarded.service.addr).await;
    raw.send(format!("{call} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{more}\r\n", key.text())).await;
    raw
}

/// Begins an upload in lines, and waits until its first line is processed.
async fn upload(guarded: &Guarded, key: &NewKey, id: &str) -> Raw {
    const LINES: &str = "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n";
    let mut raw = begin(guarded, "POST /v1/records/batch", key, LINES).await;
    raw.send(line(id)).await;
    raw.until("\"outcome\":\"processed\"").await;
    raw
}

fn line(id: &str) -> String {
    let line = format!("{}\n", record(id));
    format!("{:x}\r\n{line}\r\n", line.len())
}

#[tokio::test]
async fn a_removed_key_ends_what_it_opened() {
    let guarded = Guarded::start().await;
    let other = NewKey::make("other", &[Scope::Ingest]).unwrap();
    let path = guarded.folder.path().join("keys.toml");
    fs::write(&path, format!("{}{}{}", guarded.ingest.entry(), guarded.read.entry(), other.entry())).unwrap();
    let is_known = async || {
        let authorization = format!("Bearer {}", other.text());
        guarded.call("POST", "/v1/records", Some(&authorization)).await.status != 401
    };
    while !is_known().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let mut lines = upload(&guarded, &guarded.ingest, "l1").await;
    let mut stays = upload(&guarded, &other, "s1").await;
    let mut body = begin(&guarded, "POST /v1/records", &guarded.ingest, "content-length: 600\r\n").await;
    body.send(record("b").to_string()).await;
    let mut events = begin(&guarded, "GET /v1/notifications/stream", &guarded.read, "").await;
    events.until(": following").await;
    let mut events_http2 = http2_stream(&guarded).await;
    guarded.service.store.let_through(0);
    let mut export = begin(&guarded, "GET /v1/export", &guarded.read, "").await;
    export.until("\r\n\r\n").await;

    // The scope is all that the reader loses.
    let narrowed = guarded.read.entry().replace("\"read\"", "\"admin\"");
    fs::write(&path, format!("{narrowed}{}", other.entry())).unwrap();
    let refused = body.rest().await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    for (what, raw) in [("upload", &mut lines), ("events", &mut events), ("export", &mut export)] {
        let rest = raw.rest().await;
        assert!(!rest.ends_with("0\r\n\r\n"), "the {what} breaks off: {rest:?}");
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), async {
        while let Some(frame) = events_http2.frame().await {
            frame?;
        }
        Ok::<(), hyper::Error>(())
    });
    assert!(ended.await.unwrap().is_err(), "the stream by HTTP/2 breaks off");

    stays.send(line("s2")).await;
    stays.until("\"recordId\":\"s2\"").await;
    guarded.service.store.pages.add_permits(1);
}

/// Follows the notifications by HTTP/2, with the key for reads.
async fn http2_stream(guarded: &Guarded) -> Incoming {
    let mut sender = crate::connections::http2::connect(&guarded.service).await;
    let request = Request::get(guarded.service.url("/v1/notifications/stream"))
        .header(AUTHORIZATION, format!("Bearer {}", guarded.read.text()));
    let response = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test]
async fn without_keys_a_page_of_another_host_may_not_write() {
    let service = Service::start().await;
    let host = service.addr.to_string();
    let send = async |method: Method, path: &str, origin: Option<&str>| {
        let mut request = service.client.request(method, service.url(path)).header(HOST, &host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        // What a page may send without being asked first.
        let request = request.header(CONTENT_TYPE, "text/plain").body(record("a").to_string());
        Response::of(request.send().await.unwrap()).await
    };
    for path in ["/v1/records", "/v1/records/batch", "/v1/dead-letters/1-0/replay", "/nothing"] {
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            let refused = send(Method::POST, path, Some(origin)).await;
            refused.is_problem(403, "forbidden");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            let names_both = detail.contains(origin) && detail.contains(&host);
            assert!(names_both && detail.contains("Host header"), "{detail}");
        }
    }
    let own = format!("http://{host}");
    for origin in [None, Some(own.as_str())] {
        assert_ne!(send(Method::POST, "/v1/records", origin).await.status, 403, "{origin:?}");
    }
    assert_eq!(send(Method::GET, "/v1/records", Some("http://evil.example")).await.status, 200);
}

#[tokio::test]
async fn without_keys_a_name_that_others_resolve_is_no_name_of_the_service() {
    let status = async |service: &Service, path: &str, host: &str| {
        let answer = service.client.get(service.url(path)).header(HOST, host).send().await.unwrap();
        let answer = Response::of(answer).await;
        if answer.status == 403 {
            answer.is_problem(403, "forbidden");
            assert!(answer.body.contains("auth.hosts"), "{answer:?}");
        }
        answer.status
    };
    let service = Service::start().await;
    for host in ["localhost", "localhost:1234", "LOCALHOST", "127.0.0.1", "[::1]:80", "10.1.2.3"] {
        assert_eq!(status(&service, "/v1/records", host).await, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "tally.example"] {
        for path in ["/v1/records", "/v1/aggregates", "/v1/notifications/stream", "/nothing"] {
            assert_eq!(status(&service, path, host).await, 403, "{host} {path}");
        }
        assert_eq!(status(&service, "/healthz", host).await, 200, "{host}");
    }
    let named = Plan { hosts: &["Tally.example"], ..Plan::default() }.start().await;
    assert_eq!(status(&named, "/v1/records", "tally.example:8080").await, 200);
    assert_eq!(status(&named, "/v1/records", "evil.example").await, 403);
    let any = Plan { hosts: &["*"], ..Plan::default() }.start().await;
    assert_eq!(status(&any, "/v1/records", "evil.example").await, 200);
    // With keys a foreign page has none.
    let guarded = Guarded::start().await;
    assert_eq!(status(&guarded.service, "/v1/records", "evil.example").await, 401);
}

#[tokio::test]
async fn without_keys_a_browser_that_tells_of_another_site_may_not_write() {
    let service = Service::start().await;
    for (site, expect) in [("cross-site", 403), ("same-site", 403), ("same-origin", 415), ("none", 415)] {
        let request = service.client.post(service.url("/v1/records")).header("sec-fetch-site", site);
        let request = request.header(CONTENT_TYPE, "text/plain").body(record("a").to_string());
        assert_eq!(request.send().await.unwrap().status(), expect, "{site}");
        let read = service.client.get(service.url("/v1/records")).header("sec-fetch-site", site);
        assert_eq!(read.send().await.unwrap().status(), 200, "{site}");
    }
}
