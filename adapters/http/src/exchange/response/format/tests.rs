//! What clients take, and what they get.

use super::*;

#[track_caller]
fn check(accept: &str, expect: Format) {
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
    assert_eq!(Format::accepted(&headers, Format::Json), expect, "{accept:?}");
}

#[test]
fn a_form_is_chosen_where_it_is_named_and_not_outdone() {
    check("application/x-ndjson", Format::Ndjson);
    check("application/x-ndjson, */*", Format::Ndjson);
    check("*/*, Application/X-NDJSON", Format::Ndjson);
    check("application/json;q=0.5, application/x-ndjson;q=0.9", Format::Ndjson);
    check("application/json, application/x-ndjson", Format::Json);
    check("application/x-ndjson, application/json", Format::Ndjson);
    check("application/x-ndjson;q=0.5, application/json", Format::Json);
    check("text/csv", Format::Csv);
    check("Text/CSV; charset=utf-8; q=0.8, application/json;q=0.7", Format::Csv);
    check("text/csv;q=0.1, application/x-ndjson;q=0.2, */*", Format::Ndjson);
    check("text/csv, application/x-ndjson", Format::Csv);
}

#[test]
fn without_a_known_media_type_the_default_format_is_answered() {
    check("application/x-ndjson;q=0", Format::Json);
    check("text/csv;q=nonsense", Format::Json);
    check("text/csv;q=NaN", Format::Json);
    check("*/*", Format::Json);
    check("text/*", Format::Json);
    check("text/html", Format::Json);
    check("", Format::Json);
    assert_eq!(Format::accepted(&HeaderMap::new(), Format::Ndjson), Format::Ndjson);
}

#[test]
fn of_several_headers_all_count() {
    let mut headers = HeaderMap::new();
    headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.5"));
    headers.append(ACCEPT, HeaderValue::from_static("text/csv"));
    assert_eq!(Format::accepted(&headers, Format::Json), Format::Csv);
}
