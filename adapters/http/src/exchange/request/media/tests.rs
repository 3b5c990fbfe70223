//! Media types: tables of what is said and what it means.

use hyper::header::{CONTENT_ENCODING, HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

#[track_caller]
fn check_body(content_type: &str, expect: Option<Media>) {
    assert_eq!(of_body(&headers(&[(CONTENT_TYPE, content_type)])).ok().flatten(), expect, "{content_type:?}");
}

#[test]
fn a_body_is_json_or_ndjson_in_utf_8() {
    check_body("application/json", Some(Media::Json));
    check_body("Application/JSON", Some(Media::Json));
    check_body("application/json; charset=utf-8", Some(Media::Json));
    check_body("application/json;charset=\"UTF-8\"", Some(Media::Json));
    check_body("application/json; profile=x", Some(Media::Json));
    check_body("application/x-ndjson", Some(Media::Ndjson));
    check_body("application/ndjson", Some(Media::Ndjson));
    check_body("application/jsonl; charset=utf-8", Some(Media::Ndjson));
    check_body("application/x-jsonlines", Some(Media::Ndjson));
    check_body("application/cloudevents+json; charset=UTF-8", Some(Media::CloudEvent));
    check_body("application/cloudevents-batch+json", Some(Media::CloudEvents));
    check_body("application/json; charset=latin1", None);
    check_body("text/json", None);
    check_body("application/jsonx", None);
    check_body("application/x-www-form-urlencoded", None);
    check_body("", None);
}

#[test]
fn nothing_said_is_not_a_wrong_thing_said() {
    assert_eq!(of_body(&HeaderMap::new()), Ok(None));
    assert!(of_body(&headers(&[(CONTENT_TYPE, "text/plain")])).is_err());
    let mut twice = headers(&[(CONTENT_TYPE, "application/json")]);
    twice.append(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    assert!(of_body(&twice).is_err());
}

#[test]
fn a_body_that_is_packed_in_an_unknown_way_is_refused() {
    assert!(of_body(&headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "br")])).is_err());
    assert!(of_body(&headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "gzip")])).is_ok());
    assert!(of_body(&headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "")])).is_ok());
    assert!(of_body(&headers(&[(CONTENT_TYPE, "application/json"), (CONTENT_ENCODING, "identity")])).is_ok());
}
