//! What derives from the table: methods, access, limits.

use std::collections::BTreeSet;

use super::*;

fn route(path: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.path == path).expect("the route is there")
}

#[track_caller]
fn check_allow(path: &str, allow: &str) {
    assert_eq!(route(path).allow(), allow, "{path}");
}

#[test]
fn allow_lists_the_methods_of_a_route() {
    check_allow("/v1/records", "GET, HEAD, POST, OPTIONS");
    check_allow("/v1/records/{recordId}", "GET, HEAD, OPTIONS");
    check_allow("/v1/dead-letters/{id}", "DELETE, OPTIONS");
    check_allow("/v1/alert-rules/{name}", "GET, HEAD, PUT, DELETE, OPTIONS");
}

#[track_caller]
fn check_access(path: &str, method: &str, access: Access) {
    assert_eq!(route(path).access(&method.parse().unwrap()), access, "{method} {path}");
}

#[test]
fn access_follows_from_the_call_and_a_method_without_one_needs_any_key() {
    check_access("/v1/records", "POST", Access::Needs(Scope::Ingest));
    check_access("/v1/records", "HEAD", Access::Needs(Scope::Read));
    check_access("/v1/records", "OPTIONS", Access::AnyKey);
    check_access("/v1/records", "BREW", Access::AnyKey);
    check_access("/v1/dead-letters", "GET", Access::Needs(Scope::Admin));
    check_access("/metrics", "GET", Access::Needs(Scope::Read));
    check_access("/healthz", "GET", Access::Open);
    check_access("/healthz", "POST", Access::Open);
}

#[test]
fn a_path_and_a_method_stand_in_the_table_once() {
    let paths: BTreeSet<_> = ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths.len(), ROUTES.len());
    for route in ROUTES {
        let methods: BTreeSet<_> = route.calls.iter().map(|call| call.method.as_str()).collect();
        assert_eq!(methods.len(), route.calls.len(), "{}", route.path);
        assert!(!methods.contains("HEAD") && !methods.contains("OPTIONS"), "{}", route.path);
    }
}
