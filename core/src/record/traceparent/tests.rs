//! Only a well-formed trace context is handed on.

use super::*;

#[track_caller]
fn check(text: &str, expect: bool) {
    assert_eq!(is_traceparent(text), expect, "{text}");
}

#[test]
fn only_a_well_formed_traceparent_is_handed_on() {
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
    check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true);
    check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-of-a-later-version", true);
    check("", false);
    check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false);
    check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false);
    check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", false);
    check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{0}", false);
    check(&format!("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-{}", "x".repeat(200)), false);
}
