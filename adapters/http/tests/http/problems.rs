//! What holds of every answer: problems for all errors, methods, request ids.

use std::sync::atomic::Ordering;

use reqwest::Method;

use crate::support::service::{Response, Service, record};

async fn call(service: &Service, method: Method, path: &str) -> Response {
    Response::of(service.client.request(method, service.url(path)).send().await.unwrap()).await
}

const PATHS: [(&str, &str); 14] = [
    ("/v1/records", "GET, HEAD, POST, OPTIONS"),
    ("/v1/records/batch", "GET, HEAD, POST, OPTIONS"),
    ("/v1/records/a", "GET, HEAD, OPTIONS"),
    ("/v1/aggregates", "GET, HEAD, OPTIONS"),
    ("/v1/export", "GET, HEAD, OPTIONS"),
    ("/v1/summaries/a", "GET, HEAD, OPTIONS"),
    ("/v1/notifications", "GET, HEAD, OPTIONS"),
    ("/v1/alerts/stream", "GET, HEAD, OPTIONS"),
    ("/v1/dead-letters", "GET, HEAD, OPTIONS"),
    ("/v1/dead-letters/1", "DELETE, OPTIONS"),
    ("/v1/dead-letters/1/replay", "POST, OPTIONS"),
    ("/healthz", "GET, HEAD, OPTIONS"),
    ("/readyz", "GET, HEAD, OPTIONS"),
    ("/v1/alerts", "GET, HEAD, OPTIONS"),
];

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let service = Service::start().await;
    for (path, allow) in PATHS {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let answer = call(&service, Method::from_bytes(method.as_bytes()).unwrap(), path).await;
            answer.is_problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
        }
        let options = call(&service, Method::OPTIONS, path).await;
        assert_eq!((options.status, options.header("allow")), (204, allow), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found_by_any_method() {
    let service = Service::start().await;
    for path in ["/nothing", "/v1", "/v1/records/", "/v1/records/a/b", "/v2/records"] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
            call(&service, method, path).await.is_problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn every_get_can_be_asked_by_head() {
    let service = Service::start().await;
    service.post_record(&record("a")).await;
    for (path, status) in [
        ("/v1/records", 200),
        ("/v1/records/a", 200),
        ("/v1/records/b", 404),
        ("/v1/aggregates", 200),
        ("/v1/summaries/IAH", 200),
        ("/v1/notifications", 200),
        ("/v1/notifications/stream", 200),
        ("/healthz", 200),
        ("/nothing", 404),
    ] {
        let head = call(&service, Method::HEAD, path).await;
        assert_eq!((head.status, head.body.as_str()), (status, ""), "{path}");
        assert!(!head.header("x-request-id").is_empty());
        if path != "/v1/notifications/stream" {
            let get = service.get(path).await;
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        }
    }
}

#[tokio::test]
async fn every_answer_bears_a_request_id_and_the_caller_s_own_where_it_is_fit() {
    let service = Service::start().await;
    for path in ["/v1/records", "/nothing", "/v1/aggregates", "/v1/notifications/stream", "/healthz"] {
        for (theirs, echoed) in [("my-id_1.2", true), ("not fit!", false)] {
            let request = service.client.get(service.url(path)).header("x-request-id", theirs);
            let response = request.send().await.unwrap();
            let id = response.headers()["x-request-id"].to_str().unwrap();
            assert_eq!(id == theirs, echoed, "{path}");
            assert!(!id.is_empty() && !id.contains(' '));
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
            let cache = if response.headers().contains_key("etag") { "private, no-cache" } else { "no-store" };
            assert_eq!(response.headers()["cache-control"], cache, "{path}");
        }
    }
}

#[tokio::test]
async fn every_fault_of_a_query_is_a_bad_parameter() {
    let service = Service::start().await;
    for path in [
        "/v1/records?limit=0",
        "/v1/records?limit=1001",
        "/v1/records?colour=red",
        "/v1/records?unit=a&unit=b",
        "/v1/records?cursor=nonsense",
        "/v1/records?cursor=",
        "/v1/records?start=tomorrow",
        "/v1/records?unit=%",
        "/v1/records/a?limit=1",
        "/v1/records/%ff",
        "/v1/aggregates?records=maybe",
        "/v1/aggregates?limit=0",
        "/v1/aggregates?cursor=x",
        "/v1/aggregates?type=",
        "/v1/summaries/a?unit=EUR",
        "/v1/summaries/a?cursor=x",
        "/v1/summaries/%00",
        "/v1/notifications?after=-1",
        "/v1/notifications?after=",
        "/v1/notifications?limit=1001",
        "/v1/notifications?since=1",
        "/v1/alerts/stream?after=x",
        "/v1/alerts/stream?limit=5",
    ] {
        service.get(path).await.is_problem(400, "bad-parameter");
    }
}

#[tokio::test]
async fn a_read_that_storage_can_t_answer_is_unavailable() {
    let service = Service::start().await;
    service.store.unavailable.store(true, Ordering::SeqCst);
    for path in [
        "/v1/records",
        "/v1/records/a",
        "/v1/aggregates",
        "/v1/summaries/a",
        "/v1/notifications",
        "/v1/alerts",
        "/v1/notifications/stream",
    ] {
        service.get(path).await.is_problem(503, "unavailable");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_connection_lives_on() {
    let service = Service::start().await;
    service.store.panics.store(true, Ordering::SeqCst);
    service.get("/v1/records/a").await.is_problem(500, "internal");
    service.store.panics.store(false, Ordering::SeqCst);
    service.get("/v1/records/a").await.is_problem(404, "not-found");
}
