//! The export, before a store that fails on the way.

use std::sync::atomic::Ordering;

use crate::support::service::{Service, various};

#[tokio::test]
async fn an_export_is_in_the_order_of_processing() {
    let service = Service::start().await;
    let records = various(1_234);
    service.store_all(&records).await;
    let answer = service.get("/v1/export").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-ndjson"));
    let ids: Vec<String> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["recordId"].as_str().unwrap().to_owned())
        .collect();
    assert!(ids.iter().eq(records.iter().map(|record| record["recordId"].as_str().unwrap())));
}

#[tokio::test]
async fn an_export_that_fails_on_the_way_breaks_the_connection() {
    let service = Service::start().await;
    service.store_all(&various(3_000)).await;
    service.store.unavailable.store(true, Ordering::SeqCst);
    service.get("/v1/export").await.is_problem(503, "unavailable");
    service.store.unavailable.store(false, Ordering::SeqCst);
    for left in [0, 1, 3] {
        service.store.pages_left.store(left, Ordering::SeqCst);
        for accept in ["application/x-ndjson", "text/csv"] {
            let answer = service.client.get(service.url("/v1/export")).header("accept", accept).send().await;
            let broken = match answer {
                Ok(response) => response.bytes().await.is_err(),
                Err(_) => true,
            };
            assert!(broken, "after {left} pages: {accept}");
            service.store.pages_left.store(left, Ordering::SeqCst);
        }
    }
}
