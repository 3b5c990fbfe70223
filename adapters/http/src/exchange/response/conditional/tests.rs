//! A client that has a current response is told that it has not changed.

use std::sync::Arc;
use tallyhouse_pipeline::ports::{Batch, RecordRepository as _};
use tallyhouse_pipeline::{Arrival, Timestamp};
use tallyhouse_testing::generate::record;
use tallyhouse_testing::{MemoryRepository, TestClock};

use super::*;

fn asks(tags: &str) -> HeaderMap {
    HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap())])
}

#[test]
fn a_tag_is_known_among_others_weak_or_strong() {
    for (theirs, ours, known) in [
        ("\"a\"", "\"a\"", true),
        ("\"b\", \"a\"", "\"a\"", true),
        ("W/\"a\"", "\"a\"", true),
        ("\"a\"", "W/\"a\"", true),
        ("*", "\"a\"", true),
        ("\"b\"", "\"a\"", false),
        ("a", "\"a\"", false),
        ("", "\"a\"", false),
    ] {
        assert_eq!(has_current_copy(&asks(theirs), &HeaderValue::from_static(ours)), known, "{theirs} {ours}");
    }
    assert!(!has_current_copy(&HeaderMap::new(), &HeaderValue::from_static("\"a\"")));
}

#[test]
fn what_is_the_same_is_not_sent_again() {
    let first = json(&HeaderMap::new(), b"{}".to_vec());
    assert_eq!(first.status(), StatusCode::OK);
    let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
    let again = json(&asks(&tag), b"{}".to_vec());
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()[ETAG], tag.as_str());
    assert_eq!(json(&asks(&tag), b"{ }".to_vec()).status(), StatusCode::OK);
}

async fn store(repository: &MemoryRepository, id: &str, at: &str) {
    let batch = Batch {
        arrivals: [Arrival::from(record(id, "D", "", "1", "EUR"))].into(),
        rules: Arc::default(),
        now: Timestamp::parse(at).unwrap(),
        owner: None,
        published: Vec::new(),
    };
    repository.commit(batch).await.unwrap();
}

#[tokio::test]
async fn a_version_is_that_of_a_question_a_form_and_all_records() {
    let new = || MemoryRepository::new(Arc::new(TestClock::default()));
    let repository = new();
    let ask =
        async |repository: &MemoryRepository, query: &str, format| version(repository, query, format).await.unwrap();
    let empty = ask(&repository, "q", Format::Json).await;
    assert_eq!(ask(&repository, "q", Format::Json).await, empty);
    assert_ne!(ask(&repository, "r", Format::Json).await, empty);
    assert_ne!(ask(&repository, "q", Format::Csv).await, empty);

    store(&repository, "1", "2026-01-01T00:00:00Z").await;
    let one = ask(&repository, "q", Format::Json).await;
    assert_ne!(one, empty);
    store(&repository, "1", "2026-01-01T00:00:01Z").await;
    assert_eq!(ask(&repository, "q", Format::Json).await, one, "a repetition changes nothing");

    // Another database that has come as far.
    for (id, at) in [("2", "2026-01-01T00:00:00Z"), ("1", "2026-01-01T00:00:00.000001Z")] {
        let other = new();
        store(&other, id, at).await;
        assert_ne!(ask(&other, "q", Format::Json).await, one);
    }
}
