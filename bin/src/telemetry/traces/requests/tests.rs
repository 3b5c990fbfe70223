//! Tests of the traced routes and their names.

use super::*;

#[track_caller]
fn check(path: &str, expect: Option<&str>) {
    assert_eq!(route(path), expect, "{path}");
}

#[test]
fn only_the_api_is_traced_by_route() {
    check("/v1/records", Some("/v1/records"));
    check("/v1/records/payment-1", Some("/v1/records"));
    check("/v1/records/batch", Some("/v1/records/batch"));
    check("/v1/alerts/stream", Some("/v1/alerts"));
    check("/v1/alert-rules/x", Some("/v1/alert-rules"));
    check("/v1/recordsome", None);
    check("/v1/nothing", None);
    check("/healthz", None);
    check("/metrics", None);
    check("/", None);
}
