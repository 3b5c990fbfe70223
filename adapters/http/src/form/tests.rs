//! What clients take, and what they get.

use super::*;

#[track_caller]
fn check(accept: &str, expect: Form) {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
    assert_eq!(Form::accepted(&headers, Form::Json), expect, "{accept:?}");
}

#[test]
fn a_form_is_chosen_where_it_is_named_and_not_outdone() {
    check("application/x-ndjson", Form::Ndjson);
    check("application/x-ndjson, */*", Form::Ndjson);
    check("*/*, Application/X-NDJSON", Form::Ndjson);
    check("application/json;q=0.5, application/x-ndjson;q=0.9", Form::Ndjson);
    check("application/json, application/x-ndjson", Form::Json);
    check("application/x-ndjson, application/json", Form::Ndjson);
    check("application/x-ndjson;q=0.5, application/json", Form::Json);
    check("text/csv", Form::Csv);
    check("Text/CSV; charset=utf-8; q=0.8, application/json;q=0.7", Form::Csv);
    check("text/csv;q=0.1, application/x-ndjson;q=0.2, */*", Form::Ndjson);
    check("text/csv, application/x-ndjson", Form::Csv);
}

#[test]
fn whoever_names_no_form_gets_the_usual_one() {
    check("application/x-ndjson;q=0", Form::Json);
    check("text/csv;q=nonsense", Form::Json);
    check("text/csv;q=NaN", Form::Json);
    check("*/*", Form::Json);
    check("text/*", Form::Json);
    check("text/html", Form::Json);
    check("", Form::Json);
    assert_eq!(Form::accepted(&HeaderMap::new(), Form::Ndjson), Form::Ndjson);
}

#[test]
fn of_several_headers_all_count() {
    let mut headers = HeaderMap::new();
    headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.5"));
    headers.append(ACCEPT, HeaderValue::from_static("text/csv"));
    assert_eq!(Form::accepted(&headers, Form::Json), Form::Csv);
}
