//! Paths: what leads where, and what leads nowhere.

use super::*;

#[track_caller]
fn check(path: &str, expect: Option<Route>) {
    assert_eq!(Route::find(path).ok(), expect, "{path}");
}

#[test]
fn a_path_is_decoded_part_by_part() {
    check("/v1/records", Some(Route::Records));
    check("/v1/%72ecords", Some(Route::Records));
    check("/v1/records/a%2Fb", Some(Route::Record("a/b".to_owned())));
    check("/v1/records/a+b", Some(Route::Record("a+b".to_owned())));
    check("/v1/records/%C3%BC", Some(Route::Record("ü".to_owned())));
    check("/v1/records/batch", Some(Route::Record("batch".to_owned())));
    check("/v1/summaries/a%2fb", Some(Route::Summaries("a/b".to_owned())));
    check("/v1/alerts/stream", Some(Route::Follow(Topic::Alerts)));
    check("/v1/dead-letters/1-0/replay", Some(Route::Replay("1-0".to_owned())));
    check("/healthz", Some(Route::Healthz));
    check("/", Some(Route::Dashboard));
    check("/assets/vendor/uplot.js", Asset::find(&["vendor", "uplot.js"]).map(Route::Asset));
}

#[test]
fn each_route_is_counted_under_its_path() {
    let (last, templates) = TEMPLATES.split_last().unwrap();
    assert_eq!(*last, "none");
    for (place, template) in templates.iter().enumerate() {
        let path = template.replace("/assets/{name}", "/assets/vendor/uplot.js");
        assert_eq!(Route::find(&path).unwrap().counted().0, place, "{template}");
    }
}

#[test]
fn what_is_not_in_the_table_is_not_found() {
    for path in [
        "",
        "*",
        "//",
        "/assets/",
        "/assets/none.js",
        "/v1",
        "/v1/",
        "/v1/records/",
        "/v1/records/a/b",
        "//v1/records",
        "/V1/records",
        "/readyz/",
    ] {
        assert_eq!(Route::find(path), Err(Problem::not_found()), "{path}");
    }
}

#[test]
fn a_path_that_can_t_be_decoded_is_a_bad_parameter() {
    for path in ["/v1/records/%", "/v1/records/%2", "/v1/records/%zz", "/v1/summaries/%ff"] {
        let problem = Route::find(path).expect_err(path);
        assert!(serde_json::to_string(&problem).unwrap().contains("bad-parameter"), "{path}");
    }
}
