//! Dry runs of alert rules: what they answer and refuse, what they leave alone, and how they end.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::service::{Plan, Response, Service, record, various};

const PATH: &str = "/v1/alert-rules/tried/dry-run";

async fn try_rule(service: &Service, query: &str, rule: &Value) -> Response {
    service.post(&format!("{PATH}{query}"), "application/json", rule.to_string()).await
}

/// A service with three records of 2013 in one key, worth 5, 7 and 20.
async fn with_three() -> Service {
    let service = Service::start().await;
    for (n, value) in [(1, "5"), (2, "7"), (3, "20")] {
        let mut record = record(&format!("r-{n}"));
        record["value"] = json!(value);
        record["time"] = json!(format!("2013-01-0{n}T10:00:00Z"));
        assert_eq!(service.post_record(&record).await.status, 201);
    }
    service
}

#[tokio::test]
async fn a_dry_run_shows_the_alerts_as_they_would_be_published_and_leaves_everything_as_it_was() {
    let service = with_three().await;
    let answer = try_rule(&service, "", &json!({"threshold": 6, "unit": "minute"})).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let mut report = answer.json();
    let alerts = report["alerts"].take();
    let first = service.get("/v1/records/r-1").await.json()["processedAt"].clone();
    let destination = record("x")["destinationId"].clone();
    let expected = json!({
        "complete": true, "recordCount": 3, "backTo": first, "alertCount": 2,
        "firstTime": "2013-01-02T10:00:00Z", "lastTime": "2013-01-03T10:00:00Z",
        "destinationCount": 1, "destinations": [{"destinationId": destination, "alertCount": 2}], "alerts": null,
    });
    assert_eq!(report, expected);
    let ids: Vec<&Value> = alerts.as_array().unwrap().iter().map(|alert| &alert["id"]).collect();
    assert_eq!(ids, ["r-3/tried", "r-2/tried"], "the latest first");
    assert_eq!(service.get("/v1/alerts").await.json()["messages"], json!([]));
    assert_eq!(service.get("/v1/alert-rules").await.json()["rules"].as_array().unwrap().len(), 1);

    // With the rule in force, the alert of the next record is the one that a dry run shows for it.
    let rule = json!({"threshold": 6, "unit": "minute"});
    let path = service.url("/v1/alert-rules/tried");
    assert_eq!(service.client.put(path).body(rule.to_string()).send().await.unwrap().status(), 201);
    assert_eq!(service.post_record(&record("r-4")).await.json()["alerts"], json!(["tried"]));
    let raised = service.get("/v1/alerts").await.json()["messages"][0].clone();
    assert_eq!(try_rule(&service, "", &rule).await.json()["alerts"][0], raised);
}

#[tokio::test]
async fn totals_count_what_came_before_the_window() {
    let service = with_three().await;
    let rule = json!({"threshold": "11", "on": "total"});
    let counted = async |query: &str| {
        let report = try_rule(&service, query, &rule).await.json();
        (report["recordCount"].clone(), report["alertCount"].clone(), report["alerts"][0]["id"].clone())
    };
    assert_eq!(counted("").await, (json!(3), json!(1), json!("r-2/tried")));
    assert_eq!(counted("?start=2013-01-02T10:00:00Z").await, (json!(2), json!(1), json!("r-2/tried")));
    let day = "?start=2013-01-02T00:00:00Z&end=2013-01-03T00:00:00Z";
    assert_eq!(counted(day).await, (json!(1), json!(1), json!("r-2/tried")));
    assert_eq!(counted("?start=2013-01-03T00:00:00Z").await, (json!(1), json!(0), Value::Null));
    assert_eq!(counted("?end=2013-01-02T10:00:00Z").await, (json!(1), json!(0), Value::Null));
}

#[tokio::test]
async fn a_bad_call_is_refused() {
    let service = with_three().await;
    let answer = try_rule(&service, "", &json!({"name": "other", "threshold": -1, "units": "EUR", "type": "up"})).await;
    answer.is_problem(422, "rejected");
    let pointers: Vec<Value> =
        answer.json()["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/name", "/threshold", "/type", "/units"]);
    let good = json!({"threshold": 1});
    service
        .post("/v1/alert-rules/Bad/dry-run", "application/json", "{\"threshold\":1}")
        .await
        .is_problem(422, "rejected");
    for query in ["?unit=EUR", "?start=yesterday", "?start=2013-01-01T00:00:00Z&start=2013-01-01T00:00:00Z", "?limit=1"]
    {
        try_rule(&service, query, &good).await.is_problem(400, "bad-parameter");
    }
    service.post(PATH, "application/json", "{").await.is_problem(400, "not-json");
    service.post(PATH, "application/json", " ".repeat(20_000)).await.is_problem(413, "too-large");
    service.post(PATH, "text/csv", "{}").await.is_problem(415, "unsupported-media-type");
    let got = service.get(PATH).await;
    got.is_problem(405, "method-not-allowed");
    assert_eq!(got.header("allow"), "POST, OPTIONS");
    service.get("/v1/alert-rules/tried/other").await.is_problem(404, "not-found");
    service.store.unavailable.store(true, Ordering::SeqCst);
    try_rule(&service, "", &good).await.is_problem(503, "unavailable");
}

#[tokio::test]
async fn a_dry_run_that_fails_on_the_way_is_answered_as_such() {
    let service = Service::start().await;
    service.store_all(&various(1_234)).await;
    service.store.pages_left.store(2, Ordering::SeqCst);
    try_rule(&service, "", &json!({"threshold": 0})).await.is_problem(503, "unavailable");

    // Where it has begun already, it breaks off.
    service.store.let_through(0);
    let request = service.client.post(service.url(PATH)).header(CONTENT_TYPE, "application/json");
    let begun = request.body("{\"threshold\":0}").send().await.unwrap();
    assert_eq!(begun.status(), 200);
    service.store.pages.add_permits(1);
    assert!(begun.bytes().await.is_err());
}

#[tokio::test]
async fn when_the_time_is_over_the_newest_have_been_looked_at() {
    let mut plan = Plan::default();
    plan.http.dry_run_timeout = Duration::from_millis(1_300);
    let service = plan.start().await;
    service.store_all(&various(1_234)).await;
    service.store.let_through(2);
    let answer = try_rule(&service, "", &json!({"threshold": 0})).await;
    assert!(answer.body.starts_with(" {"), "it was on its way before it was done: {}", answer.body);
    let report = answer.json();
    assert_eq!((&report["complete"], &report["recordCount"]), (&json!(false), &json!(1_000)));
    assert_eq!(report["alerts"][0]["id"], "r-01233/tried");
    assert_eq!(report["backTo"], service.get("/v1/records/r-00234").await.json()["processedAt"]);
}

#[tokio::test]
async fn a_dry_run_takes_the_place_of_an_aggregate_until_its_caller_is_gone() {
    let mut plan = Plan::default();
    plan.http.aggregates_max = 1;
    plan.http.dry_run_timeout = Duration::from_secs(600);
    let service = plan.start().await;
    service.store_all(&various(10)).await;
    service.store.let_through(0);
    let mut caller = TcpStream::connect(service.addr).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
    );
    caller.write_all(format!("{head}{{\"threshold\":0}}").as_bytes()).await.unwrap();
    let began = Instant::now();
    let taken = async || {
        let answer = service.get("/v1/aggregates?records=false").await;
        if answer.status != 200 {
            answer.is_problem(503, "overloaded");
        }
        answer.status != 200
    };
    while !taken().await {
        assert!(began.elapsed() < Duration::from_secs(20), "it never takes a place");
    }
    try_rule(&service, "", &json!({"threshold": 0})).await.is_problem(503, "overloaded");
    drop(caller);
    while taken().await {
        assert!(began.elapsed() < Duration::from_secs(40), "the place is never given back");
    }
}
