//! Copies: what a client has, and what is kept for the next who asks.

use std::sync::atomic::Ordering;

use reqwest::header::{ACCEPT, IF_NONE_MATCH};

use crate::support::service::{Plan, Response, Service, record, various};

/// Asks whether a copy is still good.
async fn ask(service: &Service, path: &str, tag: &str) -> Response {
    Response::of(service.client.get(service.url(path)).header(IF_NONE_MATCH, tag).send().await.unwrap()).await
}

/// Lets every read of groups fail from now on.
fn groups_fail(service: &Service, fail: bool) {
    service.store.parts_left.store(if fail { 0 } else { 1 << 20 }, Ordering::SeqCst);
}

/// Says whether an answer is none, or breaks off.
async fn is_broken(service: &Service, path: &str, accept: &str) -> bool {
    match service.client.get(service.url(path)).header(ACCEPT, accept).send().await {
        Ok(answer) => answer.status() != 200 || answer.bytes().await.is_err(),
        Err(_) => true,
    }
}

#[tokio::test]
async fn a_copy_is_good_until_it_would_say_something_else() {
    let service = Service::start().await;
    service.store_all(&various(30)).await;
    let d = "/v1/summaries/d%200%2F%C3%BC";
    let paths = ["/v1/records/r-00000", "/v1/records?limit=5", d, "/v1/notifications?limit=50", "/v1/aggregates"];
    for path in paths {
        let first = service.get(path).await;
        assert_eq!((first.status, first.header("cache-control")), (200, "private, no-cache"), "{path}");
        let tag = first.header("etag").to_owned();
        assert!(!tag.is_empty(), "{path}");
        let known = ask(&service, path, &tag).await;
        assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", tag.as_str()), "{path}");
        assert_eq!(ask(&service, path, "\"other\"").await.body, first.body, "{path}");

        let mut another = record(&format!("another-{}", path.replace(['/', '?'], "-")));
        another["destinationId"] = "d 0/ü".into();
        another["time"] = "2000-01-01T00:00:00Z".into();
        assert_eq!(service.post_record(&another).await.status, 201);
        let now = ask(&service, path, &tag).await;
        if path.starts_with("/v1/records/") {
            assert_eq!(now.status, 304, "what was stored does not change");
        } else {
            assert_eq!(now.status, 200, "{path}");
            assert_ne!(now.header("etag"), tag, "{path}");
            assert_ne!(now.body, first.body, "{path}");
        }
    }
}

#[tokio::test]
async fn totals_are_sent_again_until_a_record_is_stored() {
    let service = Service::start().await;
    service.store_all(&various(30)).await;
    let path = "/v1/aggregates?records=false&limit=3";
    let first = service.get(path).await;
    assert!(first.next().is_some(), "{first:?}");
    groups_fail(&service, true);
    let again = service.get(path).await;
    assert_eq!((again.status, &again.body, again.next()), (200, &first.body, first.next()));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(again.header("etag"), first.header("etag"));

    // Another question, another form, and one with records are not answered by it.
    for (path, accept) in [
        ("/v1/aggregates?records=false&limit=4", "application/json"),
        (path, "text/csv"),
        ("/v1/aggregates?limit=3", "application/json"),
    ] {
        assert!(is_broken(&service, path, accept).await, "{path} {accept} is read from the store");
    }

    groups_fail(&service, false);
    assert_eq!(service.post_record(&record("new")).await.status, 201);
    let later = service.get("/v1/aggregates?records=false").await;
    assert_eq!(later.json()["recordCount"], 31);
    assert_ne!(service.get(path).await.header("etag"), first.header("etag"));
    // A repetition stores nothing.
    assert_eq!(service.post_record(&record("new")).await.status, 200);
    assert_eq!(ask(&service, "/v1/aggregates?records=false", later.header("etag")).await.status, 304);
}

#[tokio::test]
async fn without_room_no_totals_are_kept() {
    let service = Plan::http(tallyhouse_http::HttpSettings { cache_bytes: 0, ..Default::default() }).start().await;
    service.store_all(&various(30)).await;
    let first = service.get("/v1/aggregates?records=false").await;
    assert_eq!(first.json()["recordCount"], 30);
    groups_fail(&service, true);
    assert!(is_broken(&service, "/v1/aggregates?records=false", "*/*").await, "it is read from the store");
    assert_eq!(ask(&service, "/v1/aggregates?records=false", first.header("etag")).await.status, 304);
}
