//! Paths: which route each one leads to, and which lead nowhere.

use super::*;

#[track_caller]
fn check(path: &str, route: &str, variable: &str) {
    let found = find(path).expect(path);
    assert_eq!((found.route.path, &*found.variable), (route, variable), "{path}");
    assert_eq!(ROUTES[found.index].path, route);
}

#[test]
fn a_path_leads_to_its_route_and_its_variable_segment_is_decoded() {
    check("/v1/records", "/v1/records", "");
    check("/v1/records/a%2Fb", "/v1/records/{recordId}", "a/b");
    check("/v1/records/a+b", "/v1/records/{recordId}", "a+b");
    check("/v1/records/%C3%BC", "/v1/records/{recordId}", "ü");
    check("/v1/records/batch", "/v1/records/batch", "");
    check("/v1/records/b%61tch", "/v1/records/{recordId}", "batch");
    check("/v1/summaries/a%2fb", "/v1/summaries/{destinationId}", "a/b");
    check("/v1/alerts/stream", "/v1/alerts/stream", "");
    check("/v1/dead-letters/1-0/replay", "/v1/dead-letters/{id}/replay", "1-0");
    check("/v1/alert-rules/late", "/v1/alert-rules/{name}", "late");
    check("/healthz", "/healthz", "");
    check("/", "/", "");
    check("/assets/vendor/uplot.js", "/assets/{name}", "vendor/uplot.js");
}

#[test]
fn what_is_not_in_the_table_is_not_found() {
    for path in [
        "",
        "*",
        "//",
        "/assets/",
        "/v1",
        "/v1/",
        "/v1/records/",
        "/v1/records/a/b",
        "/v1/dead-letters//replay",
        "//v1/records",
        "/V1/records",
        "/readyz/",
    ] {
        assert_eq!(find(path), Err(Problem::not_found()), "{path}");
    }
}

/// A proxy in front may allow or refuse by path: both must see the same one.
#[test]
fn the_segments_that_a_route_names_are_not_decoded() {
    for path in ["/v1/%72ecords", "/%761/records", "/v1/records%2Fbatch", "/%6detrics", "/v1/dead-letters/1-0/%72eplay"]
    {
        assert_eq!(find(path), Err(Problem::not_found()), "{path}");
    }
}

#[test]
fn a_path_that_can_t_be_decoded_is_a_bad_parameter() {
    for path in ["/v1/records/%", "/v1/records/%2", "/v1/records/%zz", "/v1/summaries/%ff"] {
        let problem = find(path).expect_err(path);
        assert!(serde_json::to_string(&problem).unwrap().contains("bad-parameter"), "{path}");
    }
}
