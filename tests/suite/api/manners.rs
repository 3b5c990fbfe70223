//! What every response has: problem documents, `X-Request-Id`, `Allow`, `HEAD`.

use serde_json::{Value, json};
use tallyhouse_tests::clients::http::{Answer, Client, send};
use tallyhouse_tests::clients::wire::Wire;
use tallyhouse_tests::data::records::record;
use tallyhouse_tests::servers::service::Service;

/// Every path with the methods that it takes.
const PATHS: [(&str, &[&str]); 20] = [
    ("/v1/records", &["GET", "HEAD", "POST"]),
    ("/v1/records/batch", &["GET", "HEAD", "POST"]),
    ("/v1/records/a", &["GET", "HEAD"]),
    ("/v1/aggregates", &["GET", "HEAD"]),
    ("/v1/export", &["GET", "HEAD"]),
    ("/v1/summaries/IAH", &["GET", "HEAD"]),
    ("/v1/notifications", &["GET", "HEAD"]),
    ("/v1/alerts", &["GET", "HEAD"]),
    ("/v1/notifications/stream", &["GET", "HEAD"]),
    ("/v1/alerts/stream", &["GET", "HEAD"]),
    ("/v1/dead-letters", &["GET", "HEAD"]),
    ("/v1/dead-letters/1-0/replay", &["POST"]),
    ("/v1/dead-letters/1-0", &["DELETE"]),
    ("/v1/alert-rules", &["GET", "HEAD"]),
    ("/v1/alert-rules/default", &["GET", "HEAD", "PUT", "DELETE"]),
    ("/v1/alert-rules/default/dry-run", &["POST"]),
    ("/healthz", &["GET", "HEAD"]),
    ("/readyz", &["GET", "HEAD"]),
    ("/openapi.json", &["GET", "HEAD"]),
    ("/docs", &["GET", "HEAD"]),
];

fn call(http: &Client, method: &str, path: &str) -> Answer {
    send(http.request(method, path))
}

#[test]
fn an_unknown_path_is_not_found() {
    let service = Service::start();
    let http = service.http();
    for path in [
        "/nothing",
        "/v1",
        "/v1/",
        "/v2/records",
        "/v1/records/",
        "/v1/records/a/b",
        "/v1/aggregates/x",
        "/v1/summaries",
        "/V1/records",
        "//",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            call(&http, method, path).problem(404, "not-found");
        }
    }
    // No queue, no dead letters.
    http.get("/v1/dead-letters").problem(404, "not-found");
    call(&http, "POST", "/v1/dead-letters/1-0/replay").problem(404, "not-found");
    call(&http, "DELETE", "/v1/dead-letters/1-0").problem(404, "not-found");
}

#[test]
fn another_method_is_refused_with_those_allowed() {
    let service = Service::start();
    let http = service.http();
    for (path, allowed) in PATHS {
        if path.starts_with("/v1/dead-letters") {
            continue;
        }
        for method in ["PUT", "PATCH", "DELETE", "POST", "GET"] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = call(&http, method, path);
            answer.problem(405, "method-not-allowed");
            let named: Vec<&str> = answer.header("allow").expect("Allow").split(',').map(str::trim).collect();
            assert!(!named.contains(&method), "{method} {path}: {named:?}");
            for needed in allowed.iter().filter(|method| **method != "HEAD") {
                // The path of one record takes `batch` for an id when it is asked for.
                if path == "/v1/records/batch" && *needed == "GET" {
                    continue;
                }
                assert!(named.contains(needed), "{method} {path}: {named:?}");
            }
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let service = Service::start();
    let http = service.http();
    http.record(&record("a"));
    for (path, methods) in PATHS {
        if !methods.contains(&"HEAD") || path.starts_with("/v1/dead-letters") || path.ends_with("/stream") {
            continue;
        }
        let (get, head) = (http.get(path), call(&http, "HEAD", path));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
    assert_eq!(call(&http, "HEAD", "/v1/records/unknown").status, 404);
    assert_eq!(call(&http, "HEAD", "/v1/records?limit=0").status, 400);
}

#[test]
fn every_answer_bears_a_request_id() {
    let service = Service::start();
    let http = service.http();
    let longest = "x".repeat(128);
    let asked = |id: &str, path: &str| {
        let answer = send(http.request("GET", path).header("x-request-id", id));
        answer.header("x-request-id").expect("X-Request-Id").to_owned()
    };
    for path in ["/healthz", "/v1/records/unknown", "/nothing", "/v1/records?limit=0", "/readyz"] {
        for id in ["a", "A-b_c.9", longest.as_str()] {
            assert_eq!(asked(id, path), id, "{path}");
        }
        for id in ["", "a b", "ü", "a/b", "a,b", "\"a\"", &"x".repeat(129)] {
            let own = asked(id, path);
            assert_ne!(own, id);
            assert!(!own.is_empty() && own.len() <= 128, "{own}");
            assert!(own.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{own}");
        }
        let (one, other) = (http.get(path), http.get(path));
        assert_ne!(one.header("x-request-id").expect("an id"), other.header("x-request-id").expect("an id"));
    }
    let late = http.post("/v1/records", vec![b'x'; 100_000]);
    late.problem(413, "too-large");
    let method = call(&http, "PUT", "/v1/records");
    assert!(method.header("x-request-id").is_some());
}

#[test]
fn health_and_readiness_show_the_dependencies() {
    let service = Service::start();
    let http = service.http();
    assert_eq!(http.get("/healthz").status, 200);
    let ready = http.get("/readyz").expect_status(200);
    assert_eq!(ready.header("content-type"), Some("application/json"));
    let text = ready.text();
    assert!(text.contains("storage") || text.contains("database"), "{text}");
}

#[test]
fn what_is_not_http_harms_nobody() {
    let service = Service::start();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET /healthz\r\n\r\n",
        b"\xff\xfe\xfd",
    ] {
        let mut wire = Wire::connect(service.address());
        // The service may have closed already, which is its right.
        drop(wire.send(bytes));
        drop(wire.half_close());
        drop(wire.answer());
    }
    assert_eq!(service.http().get("/healthz").status, 200);
    assert!(!service.log().contains("panick"), "{}", service.log());
}

#[test]
fn two_requests_on_one_connection_are_two_answers() {
    let service = Service::start();
    let mut wire = Wire::connect(service.address());
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let both = String::from_utf8(wire.answer().expect("an answer").rest().expect("read")).expect("text");
    assert_eq!(both.matches("HTTP/1.1 200").count(), 1, "the first was read, the second follows: {both}");
}

#[test]
fn a_body_shorter_than_promised_stores_nothing() {
    let service = Service::start();
    let body = record("short").to_string();
    let mut wire = Wire::connect(service.address());
    let length = format!("Content-Length: {}", body.len() + 10);
    wire.head(&["POST /v1/records", "Content-Type: application/json", &length]).expect("sent");
    wire.send(body.as_bytes()).expect("sent");
    wire.half_close().expect("closed");
    if let Ok(answer) = wire.answer() {
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    service.http().get("/v1/records/short").problem(404, "not-found");
}

#[test]
fn a_body_of_which_nothing_is_said_is_read_as_json_where_nothing_else_could_be_meant() {
    let service = Service::start();
    let http = service.http();
    assert_eq!(send(http.request("POST", "/v1/records").body(record("a").to_string())).status, 201);
    let batch = send(http.request("POST", "/v1/records/batch").body(json!([record("b")]).to_string()));
    batch.problem(415, "unsupported-media-type");
}

#[test]
fn a_problem_never_shows_what_is_inside() {
    let service = Service::start();
    let http = service.http();
    let mut answers: Vec<Answer> =
        ["/nothing", "/v1/records?limit=x", "/v1/records/unknown"].map(|path| http.get(path)).into();
    answers.push(http.post("/v1/records", "{"));
    answers.push(http.post("/v1/records", "{}"));
    for answer in answers {
        let problem: Value = answer.json();
        let text = problem.to_string().to_lowercase();
        for word in ["select ", "sqlite", "diesel", "panicked", "/src/", "warp", "rejection"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}
