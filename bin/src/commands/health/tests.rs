//! Tests of the address that is asked.

use super::*;

#[track_caller]
fn check(listen: &str, tls: bool, expect: &str) {
    assert_eq!(own_url(listen, tls), expect);
}

#[test]
fn the_own_service_is_reached_by_loopback() {
    check("127.0.0.1:8080", false, "http://127.0.0.1:8080");
    check("0.0.0.0:80", false, "http://127.0.0.1:80");
    check("[::]:8443", true, "https://[::1]:8443");
    check("localhost:1", false, "http://localhost:1");
}
