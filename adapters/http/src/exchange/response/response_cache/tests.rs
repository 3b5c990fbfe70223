//! An answer is kept for as long as its validator holds, within a budget of bytes.

use super::*;

fn response(tag: &str, length: usize) -> CachedResponse {
    CachedResponse { tag: HeaderValue::from_str(tag).unwrap(), body: Bytes::from(vec![b'x'; length]), link: None }
}

#[test]
fn an_answer_is_good_only_for_its_validator() {
    let answers = ResponseCache::new(1 << 20);
    answers.put("q".to_owned(), response("1", 10));
    assert_eq!(answers.get("q", &HeaderValue::from_static("1")).unwrap().body.len(), 10);
    assert!(answers.get("q", &HeaderValue::from_static("2")).is_none());
    assert!(answers.get("other", &HeaderValue::from_static("1")).is_none());
    answers.put("q".to_owned(), response("2", 20));
    assert!(answers.get("q", &HeaderValue::from_static("1")).is_none());
    assert_eq!(answers.get("q", &HeaderValue::from_static("2")).unwrap().body.len(), 20);
    assert_eq!(answers.counts(), [2, 3], "found, and not found");
}

#[test]
fn what_is_kept_is_bounded() {
    let answers = ResponseCache::new(100_000);
    for n in 0..1_000 {
        answers.put(n.to_string(), response("1", 1_000));
    }
    assert!(answers.entries.weight() <= 100_000);
    assert!(answers.entries.len() > 10, "and yet something is kept");
    answers.put("large".to_owned(), response("1", 20_000));
    assert!(answers.get("large", &HeaderValue::from_static("1")).is_none());
    let none = ResponseCache::new(0);
    none.put("q".to_owned(), response("1", 0));
    assert!(none.get("q", &HeaderValue::from_static("1")).is_none());
}
