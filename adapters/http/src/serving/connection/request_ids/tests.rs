//! Request ids: the caller's where it is safe, else a made one.

use super::*;

#[track_caller]
fn check(theirs: &str, taken_over: bool) {
    let ids = RequestIds::new();
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, HeaderValue::from_str(theirs).unwrap());
    assert_eq!(ids.of(&headers) == theirs, taken_over, "{theirs:?}");
}

#[test]
fn a_caller_s_request_id_is_taken_over_where_it_is_safe() {
    check("a", true);
    check("Az09._-", true);
    check(&"x".repeat(128), true);
    check(&"x".repeat(129), false);
    check("", false);
    check("two words", false);
    check("a/b", false);
    check("a,b", false);
}

#[test]
fn made_request_ids_are_safe_and_differ() {
    let (ids, others) = (RequestIds::new(), RequestIds::new());
    let made = [ids.make(), ids.make(), others.make()];
    assert!(made.iter().all(|id| is_safe(id.as_bytes())));
    assert!(made[0] != made[1] && made[0] != made[2] && made[1] != made[2]);
}
