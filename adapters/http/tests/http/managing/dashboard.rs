//! The dashboard's files, as a browser and a cache meet them.

use reqwest::header::ACCEPT;
use serde_json::Value;

use crate::support::raw::exchange;
use crate::support::service::{Response, Service, record};

/// What a browser sends for a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn the_dashboard_is_open_and_brings_its_own_policy() {
    let service = Service::start().await;
    let ask = |path: &str, header: &str| {
        exchange(service.addr, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n"))
    };
    let table = [
        ("/", "text/html; charset=utf-8"),
        ("/?view=records&destinationId=%C3%BC", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/assets/reference/reference.js", "text/javascript; charset=utf-8"),
        ("/assets/app.js", "text/javascript; charset=utf-8"),
        ("/assets/style/base.css", "text/css; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
        ("/assets/vendor/uplot.LICENSE", "text/plain; charset=utf-8"),
    ];
    for (path, media_type) in table {
        let answer = ask(path, "").await;
        let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        for part in [
            &format!("content-type: {media_type}\r\n"),
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-cache\r\n",
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ",
        ] {
            assert_eq!(format!("{head}\r\n").matches(part).count(), 1, "{part} in {head}");
        }
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let again = ask(path, &format!("if-none-match: {tag}\r\n")).await;
        assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{path}: {again}");
    }
    assert!(ask("/assets/none.js", "").await.starts_with("HTTP/1.1 404 "));
    assert!(ask("/assets", "").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn an_unknown_path_is_a_page_for_a_browser_and_a_problem_for_all_others() {
    let service = Service::start().await;
    let ask = |path: &str, accept: &'static str| {
        let request = service.client.get(service.url(path)).header(ACCEPT, accept);
        async { Response::of(request.send().await.unwrap()).await }
    };
    for path in ["/nowhere", "/v1/nowhere/at/all", "/assets/none.js", "/docs/"] {
        let page = ask(path, BROWSER).await;
        assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"), "{path}");
        assert!(page.body.contains("There is no such page"), "{path}");
        assert!(page.header("content-security-policy").starts_with("default-src 'none'; "), "{path}");
        assert!(!page.header("x-request-id").is_empty());
        for accept in ["*/*", "application/json", "application/json, text/html;q=0.5"] {
            ask(path, accept).await.is_problem(404, "not-found");
        }
    }
    // A path that exists has its own answers.
    ask("/v1/records/none", BROWSER).await.is_problem(404, "not-found");
    ask("/v1/records/%zz", BROWSER).await.is_problem(400, "bad-parameter");
    let sent = service.client.post(service.url("/nowhere")).header(ACCEPT, BROWSER).send().await.unwrap();
    Response::of(sent).await.is_problem(404, "not-found");
}

#[tokio::test]
async fn rates_have_every_record_in_the_interval_in_which_it_was_answered() {
    let service = Service::start().await;
    service.store_all(&[record("a"), record("b"), record("c")]).await;
    assert_eq!(service.post_record(&record("a")).await.status, 200);
    assert_eq!(service.post_record(&serde_json::json!({})).await.status, 422);
    let sum = |rates: &Value, outcome: &str| {
        rates["counts"][outcome].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    let mut rates = service.get("/v1/rates").await.json();
    let expected = serde_json::json!({"processed": 3, "duplicates": 1, "conflicts": 0, "rejected": 1});
    assert_eq!(rates["totals"], expected);
    while sum(&rates, "processed") + sum(&rates, "rejected") < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        rates = service.get("/v1/rates").await.json();
    }
    for (outcome, total) in expected.as_object().unwrap() {
        assert_eq!(sum(&rates, outcome), total.as_u64().unwrap(), "{outcome}");
        assert_eq!(
            rates["counts"][outcome].as_array().unwrap().len(),
            rates["counts"]["processed"].as_array().unwrap().len()
        );
    }
    assert!(rates["startedAt"].as_str() < rates["end"].as_str() && rates["intervalSeconds"] == 2, "{rates}");
    service.get("/v1/rates?limit=1").await.is_problem(400, "bad-parameter");
}
