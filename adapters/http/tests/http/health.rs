//! Alive, ready, degraded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tallyhouse_http::{HealthProbe, ProbeState};

use crate::service::{Plan, Service};

/// A dependency that is down, or never answers.
struct Redis {
    answers: AtomicBool,
    up: AtomicBool,
}

#[async_trait]
impl HealthProbe for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> ProbeState {
        if !self.answers.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.up.load(Ordering::SeqCst) { ProbeState::Up } else { ProbeState::Down }
    }
}

#[tokio::test]
async fn the_process_is_alive_whatever_storage_does() {
    let service = Service::start().await;
    service.store.away.store(true, Ordering::SeqCst);
    let answer = service.get("/healthz").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })));
}

#[tokio::test]
async fn the_service_is_ready_while_storage_answers() {
    let service = Service::start().await;
    let ready = service.get("/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready", "dependencies": { "storage": "up" } })));
    service.store.away.store(true, Ordering::SeqCst);
    let unready = service.get("/readyz").await;
    unready.is_problem(503, "unavailable");
    assert_eq!(unready.json()["dependencies"], json!({ "storage": "down" }));
}

#[tokio::test]
async fn without_redis_the_service_is_degraded_but_ready() {
    let redis = Arc::new(Redis { answers: AtomicBool::new(true), up: AtomicBool::new(false) });
    let mut plan = Plan { probes: vec![redis.clone()], ..Plan::default() };
    plan.http.probe_timeout = Duration::from_millis(50);
    let service = plan.start().await;
    let down = json!({ "status": "degraded", "dependencies": { "storage": "up", "redis": "down" } });
    let answer = service.get("/readyz").await;
    assert_eq!((answer.status, answer.json()), (200, down.clone()));
    redis.up.store(true, Ordering::SeqCst);
    assert_eq!(service.get("/readyz").await.json()["status"], "ready");
    redis.answers.store(false, Ordering::SeqCst);
    assert_eq!(service.get("/readyz").await.json(), down);
}

#[tokio::test]
async fn a_service_that_is_stopping_is_not_ready() {
    let mut plan = Plan::default();
    plan.http.lame_duck = Duration::from_secs(2);
    let service = plan.start().await;
    service.stop.cancel();
    service.get("/readyz").await.is_problem(503, "unavailable");
    assert_eq!(service.get("/healthz").await.status, 200);
    let url = service.url("/healthz");
    service.served.await.unwrap();
    assert!(service.client.get(url).send().await.is_err());
}
