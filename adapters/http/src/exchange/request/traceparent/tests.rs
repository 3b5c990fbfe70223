//! Trace contexts: which are handed on.

use hyper::header::HeaderValue;

use super::*;

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[track_caller]
fn check(value: &str, valid: bool) {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_str(value).unwrap());
    assert_eq!(of(&headers).as_deref(), valid.then_some(value), "{value:?}");
}

#[test]
fn a_valid_trace_context_is_handed_on_and_no_other() {
    check(GOOD, true);
    check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
    check("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", true);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", false);
    check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
    check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
    check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", false);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1", false);
    check("004bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
    check("", false);
    check("0", false);
}

#[test]
fn two_trace_contexts_are_none() {
    let mut headers = HeaderMap::new();
    headers.append("traceparent", HeaderValue::from_static(GOOD));
    headers.append("traceparent", HeaderValue::from_static(GOOD));
    assert_eq!(of(&headers), None);
}
