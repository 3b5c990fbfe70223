//! The refused queue payloads.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use tallyhouse_pipeline::ports::{DeadLetter, DeadLetters, PortError, PortErrorKind};

use crate::support::service::{Plan, Response, Service, record};

/// Dead letters in memory, by ascending ids.
struct Letters(Mutex<Vec<DeadLetter>>);

impl Letters {
    fn of(payloads: &[&[u8]]) -> Arc<Self> {
        let letter = |(i, payload): (usize, &&[u8])| DeadLetter {
            id: format!("{}-0", i + 1),
            payload: payload.to_vec(),
            reason: "rejected".to_owned(),
            detail: "/unit is missing".to_owned(),
            origin: "list".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
        };
        Arc::new(Self(Mutex::new(payloads.iter().enumerate().map(letter).collect())))
    }
}

#[async_trait]
impl DeadLetters for Letters {
    async fn list(&self, after: Option<String>, limit: usize) -> Result<Vec<DeadLetter>, PortError> {
        let after = after.unwrap_or_default();
        if !after.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return Err(PortError::new(PortErrorKind::Misuse, "listing", "no id"));
        }
        // A page ends early, as one that is bounded in bytes does.
        let limit = limit.min(4);
        Ok(self.0.lock().unwrap().iter().filter(|letter| letter.id > after).take(limit).cloned().collect())
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, PortError> {
        Ok(self.0.lock().unwrap().iter().find(|letter| letter.id == id).cloned())
    }

    async fn remove(&self, id: &str) -> Result<bool, PortError> {
        let mut letters = self.0.lock().unwrap();
        let before = letters.len();
        letters.retain(|letter| letter.id != id);
        Ok(letters.len() < before)
    }
}

async fn start(letters: &Arc<Letters>) -> Service {
    Plan { dead_letters: Some(letters.clone()), ..Plan::default() }.start().await
}

async fn call(service: &Service, method: Method, path: &str) -> Response {
    Response::of(service.client.request(method, service.url(path)).send().await.unwrap()).await
}

#[tokio::test]
async fn a_page_that_ends_early_names_the_next_one() {
    let letters = Letters::of(&[b"{}".as_slice(); 8]);
    let service = start(&letters).await;
    let page = service.get("/v1/dead-letters").await.json();
    assert_eq!((page["deadLetters"].as_array().unwrap().len(), &page["next"]), (4, &json!("4-0")));
    let page = service.get("/v1/dead-letters?after=4-0").await.json();
    assert_eq!((page["deadLetters"].as_array().unwrap().len(), &page["next"]), (4, &Value::Null));
}

#[tokio::test]
async fn dead_letters_are_listed_page_by_page() {
    let letters = Letters::of(&[b"{}", b"\xff\x00", b"text"]);
    let service = start(&letters).await;
    let page = service.get("/v1/dead-letters?limit=2").await.json();
    assert_eq!(
        page["deadLetters"][0],
        json!({ "id": "1-0", "payload": "{}", "reason": "rejected", "detail": "/unit is missing", "origin": "list",
            "at": "2026-01-01T00:00:00Z" })
    );
    assert_eq!(page["deadLetters"][1]["payloadBase64"], "/wA=");
    assert_eq!(page["deadLetters"][1].get("payload"), None);
    assert_eq!(page["next"], "2-0");
    let last = service.get("/v1/dead-letters?limit=2&after=2-0").await.json();
    assert_eq!((&last["deadLetters"][0]["payload"], &last["next"]), (&json!("text"), &Value::Null));
    service.get("/v1/dead-letters?after=x").await.is_problem(400, "bad-parameter");
    service.get("/v1/dead-letters?limit=0").await.is_problem(400, "bad-parameter");
}

#[tokio::test]
async fn a_replay_that_succeeds_ends_the_dead_letter_and_one_that_fails_keeps_it() {
    let good = record("a").to_string();
    let mut other = record("a");
    other["value"] = json!(7);
    let other = other.to_string();
    let large = format!("{good}{}", " ".repeat(64 * 1024));
    let payloads: [&[u8]; 6] = [good.as_bytes(), good.as_bytes(), other.as_bytes(), b"{}", b"\xff", large.as_bytes()];
    let letters = Letters::of(&payloads);
    let service = start(&letters).await;
    let replay = |id: usize| {
        let service = &service;
        async move { call(service, Method::POST, &format!("/v1/dead-letters/{id}-0/replay")).await }
    };
    let first = replay(1).await;
    assert_eq!((first.status, &first.json()["outcome"]), (201, &json!("processed")));
    replay(1).await.is_problem(404, "not-found");
    let second = replay(2).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, "true"));
    replay(3).await.is_problem(409, "conflict");
    replay(4).await.is_problem(422, "rejected");
    replay(5).await.is_problem(400, "not-json");
    replay(6).await.is_problem(413, "too-large");
    let left: Vec<String> = letters.0.lock().unwrap().iter().map(|letter| letter.id.clone()).collect();
    assert_eq!(left, ["3-0", "4-0", "5-0", "6-0"]);
}

#[tokio::test]
async fn a_dead_letter_is_dropped_once() {
    let letters = Letters::of(&[b"{}"]);
    let service = start(&letters).await;
    let dropped = call(&service, Method::DELETE, "/v1/dead-letters/1-0").await;
    assert_eq!((dropped.status, dropped.body.as_str()), (204, ""));
    call(&service, Method::DELETE, "/v1/dead-letters/1-0").await.is_problem(404, "not-found");
}

#[tokio::test]
async fn without_queues_there_are_no_dead_letters() {
    let service = Service::start().await;
    call(&service, Method::GET, "/v1/dead-letters").await.is_problem(404, "not-found");
    call(&service, Method::DELETE, "/v1/dead-letters/1-0").await.is_problem(404, "not-found");
    call(&service, Method::POST, "/v1/dead-letters/1-0/replay").await.is_problem(404, "not-found");
}
