//! Alive, ready, degraded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tallyhouse_http::{HealthProbe, ProbeState};

use crate::support::service::{Plan, Service, record};
use crate::support::store::Writes;

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
async fn the_process_is_alive_while_storage_is_unavailable() {
    let service = Service::start().await;
    service.store.unavailable.store(true, Ordering::SeqCst);
    let answer = service.get("/healthz").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "status": "ok" })));
}

#[tokio::test]
async fn the_service_is_ready_while_storage_answers() {
    let service = Service::start().await;
    let ready = service.get("/readyz").await;
    let breakers = json!({ "storage": "closed" });
    let expected = json!({ "status": "ready", "dependencies": { "storage": "up" }, "breakers": breakers });
    assert_eq!((ready.status, ready.json()), (200, expected));
    service.store.unavailable.store(true, Ordering::SeqCst);
    let unready = service.get("/readyz").await;
    unready.is_problem(503, "unavailable");
    assert_eq!(unready.json()["dependencies"], json!({ "storage": "down" }));
    assert_eq!(unready.json()["breakers"], breakers, "nothing was written, so nothing has failed yet");
}

#[tokio::test]
async fn a_breaker_that_is_open_shows_in_ready_and_unready_answers() {
    let service = Service::start().await;
    let _queue = service.pipeline.breakers().named("queue-list");
    service.store.unavailable.store(true, Ordering::SeqCst);
    service.post_record(&record("r")).await.is_problem(503, "unavailable");
    let unready = service.get("/readyz").await;
    unready.is_problem(503, "unavailable");
    assert_eq!(unready.json()["breakers"], json!({ "storage": "open", "queue-list": "closed" }));

    service.store.unavailable.store(false, Ordering::SeqCst);
    let begun = std::time::Instant::now();
    let half_open = loop {
        let state = service.get("/readyz").await.json();
        if state["breakers"]["storage"] == "half-open" {
            break state;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(half_open["status"], "degraded", "the next write decides");
    assert_eq!(service.post_record(&record("r")).await.status, 201);
    assert_eq!(service.get("/readyz").await.json()["status"], "ready");
}

#[tokio::test]
async fn while_writes_fail_the_last_failure_is_told_as_far_as_it_is_known() {
    for (writes, detail) in [
        (Writes::Fail(Some("the disk is full")), "Writes to storage fail: the disk is full."),
        (Writes::Fail(None), "Writes to storage fail."),
        (Writes::Hang, "Writes to storage fail: it does not answer in time."),
    ] {
        let mut plan = Plan::default();
        plan.pipeline.ping_timeout = Duration::from_millis(20);
        let service = plan.start().await;
        *service.store.writes.lock().unwrap() = writes;
        service.post_record(&record("r")).await.is_problem(503, "unavailable");
        // The commit failed before the first attempt to write, maybe for another reason.
        let begun = std::time::Instant::now();
        loop {
            let unready = service.get("/readyz").await;
            unready.is_problem(503, "unavailable");
            let problem = unready.json();
            assert_eq!(
                (&problem["dependencies"]["storage"], &problem["breakers"]["storage"]),
                (&json!("down"), &json!("open"))
            );
            if problem["detail"] == detail {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{writes:?}: {problem}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        *service.store.writes.lock().unwrap() = Writes::Succeed;
        service.recovers().await;
        assert_eq!(service.get("/readyz").await.status, 200);
    }
}

#[tokio::test]
async fn without_redis_the_service_is_degraded_but_ready() {
    let redis = Arc::new(Redis { answers: AtomicBool::new(true), up: AtomicBool::new(false) });
    let mut plan = Plan { probes: vec![redis.clone()], ..Plan::default() };
    plan.http.probe_timeout = Duration::from_millis(50);
    let service = plan.start().await;
    let dependencies = json!({ "storage": "up", "redis": "down" });
    let down = json!({ "status": "degraded", "dependencies": dependencies, "breakers": { "storage": "closed" } });
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
