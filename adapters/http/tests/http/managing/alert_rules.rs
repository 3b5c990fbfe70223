//! The alert rules: listed with where they come from, put, deleted, on a condition or on none.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::service::{Response, Service, record};

async fn call(service: &Service, method: Method, name: &str, condition: Option<(&str, &str)>, body: &str) -> Response {
    let path = service.url(&format!("/v1/alert-rules/{name}"));
    let mut request = service.client.request(method, path).body(body.to_owned());
    if let Some((header, value)) = condition {
        request = request.header(header, value);
    }
    Response::of(request.send().await.unwrap()).await
}

async fn put(service: &Service, name: &str, rule: &Value) -> Response {
    call(service, Method::PUT, name, None, &rule.to_string()).await
}

async fn delete(service: &Service, name: &str) -> Response {
    call(service, Method::DELETE, name, None, "").await
}

async fn list(service: &Service) -> Vec<String> {
    let rules = service.get("/v1/alert-rules").await.json()["rules"].as_array().unwrap().clone();
    let line = |rule: &Value| format!("{} {} {}", rule["name"], rule["origin"], rule["inForce"]).replace('"', "");
    rules.iter().map(line).collect()
}

/// Posts a record of value 11; returns the names of the rules that it met.
async fn met(service: &Service, id: &str) -> Value {
    service.post_record(&record(id)).await.json()["alerts"].clone()
}

#[tokio::test]
async fn a_rule_is_created_replaced_and_deleted() {
    let service = Service::start().await;
    assert_eq!(list(&service).await, ["large file true"]);
    assert_eq!(met(&service, "r-1").await, json!([]));

    let created = put(&service, "small", &json!({"threshold": 10, "unit": "minute"})).await;
    assert_eq!(created.status, 201, "{created:?}");
    let mut rule = created.json();
    assert!(rule.as_object_mut().unwrap().remove("changedAt").unwrap().is_string());
    assert_eq!(
        rule,
        json!({"name": "small", "threshold": "10", "unit": "minute", "origin": "managed", "inForce": true})
    );
    assert_eq!(service.get("/v1/alert-rules/small").await.body, created.body);
    assert_eq!(list(&service).await, ["large file true", "small managed true"]);
    assert_eq!(met(&service, "r-2").await, json!(["small"]), "at once");

    // What was read can be written back, and changes nothing.
    let again = put(&service, "small", &created.json()).await;
    assert_eq!((again.status, &again.body, again.header("etag")), (200, &created.body, created.header("etag")));
    let replaced = put(&service, "small", &json!({"name": "small", "threshold": "11"})).await;
    assert_eq!((replaced.status, &replaced.json()["threshold"]), (200, &json!("11")));
    assert_ne!(replaced.header("etag"), created.header("etag"));
    assert_eq!(met(&service, "r-3").await, json!([]));

    let deleted = delete(&service, "small").await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    delete(&service, "small").await.is_problem(404, "not-found");
    service.get("/v1/alert-rules/small").await.is_problem(404, "not-found");
    service.get("/v1/alert-rules/Not%20a%2Fname").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn a_managed_rule_hides_the_one_of_the_file_until_it_is_deleted() {
    let service = Service::start().await;
    assert_eq!(put(&service, "large", &json!({"threshold": "10"})).await.status, 201);
    assert_eq!(list(&service).await, ["large file false", "large managed true"]);
    assert_eq!(service.get("/v1/alert-rules/large").await.json()["origin"], "managed");
    assert_eq!(met(&service, "r-1").await, json!(["large"]));
    assert_eq!(delete(&service, "large").await.status, 204);
    assert_eq!(list(&service).await, ["large file true"]);
    let own = service.get("/v1/alert-rules/large").await.json();
    assert_eq!((&own["origin"], &own["threshold"]), (&json!("file"), &json!("1000")));
    delete(&service, "large").await.is_problem(404, "not-found");
    assert_eq!(met(&service, "r-2").await, json!([]));
}

#[tokio::test]
async fn a_bad_rule_is_refused_with_every_reason() {
    let service = Service::start().await;
    let answer = put(&service, "bad", &json!({"name": "other", "threshold": 1.5, "units": "EUR", "type": "up"})).await;
    answer.is_problem(422, "rejected");
    let pointers: Vec<Value> =
        answer.json()["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/name", "/threshold", "/type", "/units"]);
    put(&service, "Bad_Name", &json!({"threshold": 1})).await.is_problem(422, "rejected");
    call(&service, Method::PUT, "bad", None, "{").await.is_problem(400, "not-json");
    call(&service, Method::PUT, "bad", None, "").await.is_problem(400, "not-json");
    call(&service, Method::PUT, "bad", None, &" ".repeat(20_000)).await.is_problem(413, "too-large");
    let csv = Some((CONTENT_TYPE.as_str(), "text/csv"));
    call(&service, Method::PUT, "bad", csv, "{}").await.is_problem(415, "unsupported-media-type");
    service.get("/v1/alert-rules?limit=1").await.is_problem(400, "bad-parameter");
    call(&service, Method::POST, "bad", None, "{}").await.is_problem(405, "method-not-allowed");
    assert_eq!(list(&service).await, ["large file true"]);
}

#[tokio::test]
async fn a_change_can_ask_that_nobody_was_faster() {
    let service = Service::start().await;
    let rule = json!({"threshold": "10"}).to_string();
    let change = async |method: Method, header: &str, value: &str| {
        let body = if method == Method::PUT { rule.replace("10", &value.len().to_string()) } else { String::new() };
        call(&service, method, "r", Some((header, value)), &body).await
    };
    change(Method::PUT, "if-match", "*").await.is_problem(412, "precondition-failed");
    let created = change(Method::PUT, "if-none-match", "*").await;
    assert_eq!(created.status, 201);
    change(Method::PUT, "if-none-match", "*").await.is_problem(412, "precondition-failed");
    change(Method::PUT, "if-none-match", "\"1\"").await.is_problem(400, "bad-parameter");
    let first = created.header("etag").to_owned();
    let replaced = change(Method::PUT, "if-match", &format!("\"1\", {first}")).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    for tag in [first.as_str(), "\"x\"", "", "W/\"1\""] {
        change(Method::PUT, "if-match", tag).await.is_problem(412, "precondition-failed");
        change(Method::DELETE, "if-match", tag).await.is_problem(412, "precondition-failed");
    }
    assert_eq!(change(Method::DELETE, "if-match", replaced.header("etag")).await.status, 204);
}

#[tokio::test]
async fn there_is_an_end_to_how_many_rules_can_be_managed() {
    let service = Service::start().await;
    for n in 0..500 {
        assert_eq!(put(&service, &format!("r{n}"), &json!({"threshold": "1000"})).await.status, 201);
    }
    put(&service, "one-more", &json!({"threshold": 1})).await.is_problem(422, "rejected");
    assert_eq!(put(&service, "r7", &json!({"threshold": "2000"})).await.status, 200);
}

#[tokio::test]
async fn without_storage_no_rule_is_shown_or_changed() {
    let service = Service::start().await;
    service.store.unavailable.store(true, std::sync::atomic::Ordering::SeqCst);
    service.get("/v1/alert-rules").await.is_problem(503, "unavailable");
    service.get("/v1/alert-rules/large").await.is_problem(503, "unavailable");
    put(&service, "large", &json!({"threshold": 1})).await.is_problem(503, "unavailable");
    delete(&service, "large").await.is_problem(503, "unavailable");
}
