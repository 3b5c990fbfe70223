//! Events in JSON and in headers: which records they bear, and how broken ones are refused.

use hyper::header::{HeaderName, HeaderValue};

use super::*;

const RECORD: &str = r#"{"recordId":"a","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":12.50,"unit":"minute","reference":""}"#;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn event(rest: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"b"{rest}}}"#)
}

#[test]
fn the_data_of_an_event_is_the_record_to_the_digit() {
    let read_one = |json: &str| read(json.as_bytes()).record.expect(json);
    let record = read_one(&event(&format!(r#","data":{RECORD}"#)));
    assert_eq!(record, Record::from_json(RECORD.as_bytes()).unwrap());
    assert_eq!(record.value.to_string(), "12.50");
    let packed = STANDARD.encode(RECORD);
    assert_eq!(read_one(&event(&format!(r#","data_base64":"{packed}""#))), record);
}

#[test]
fn a_trace_context_is_handed_on_where_it_is_valid() {
    let with = |trace: &str| read(event(&format!(r#","traceparent":{trace},"data":{RECORD}"#)).as_bytes()).traceparent;
    assert_eq!(with(&format!("\"{TRACE}\"")).as_deref(), Some(TRACE));
    assert_eq!(with("\"x\""), None);
    assert_eq!(with("1"), None);
}

#[track_caller]
fn check_refused(json: &str, code: RejectionCode, pointers: &[&str]) {
    let rejection = read(json.as_bytes()).record.expect_err(json);
    let found: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!((rejection.code, &found[..]), (code, pointers), "{json}");
}

#[test]
fn a_broken_event_is_refused_with_every_reason() {
    check_refused("{", RejectionCode::NotJson, &[""]);
    check_refused("[]", RejectionCode::Rejected, &[""]);
    check_refused("{}", RejectionCode::Rejected, &["/specversion", "/id", "/source", "/type", "/data"]);
    check_refused(&event(""), RejectionCode::Rejected, &["/data"]);
    check_refused(&event(r#","data":{},"data_base64":"""#), RejectionCode::Rejected, &["/data_base64"]);
    check_refused(&event(r#","data_base64":"!""#), RejectionCode::Rejected, &["/data_base64"]);
    let bad = RECORD.replace("positive", "neither").replace("minute", "");
    check_refused(&event(&format!(r#","data":{bad}"#)), RejectionCode::Rejected, &["/data/type", "/data/unit"]);
    check_refused(&event(r#","data":7"#), RejectionCode::Rejected, &["/data"]);
    let packed = STANDARD.encode(&bad);
    check_refused(&event(&format!(r#","data_base64":"{packed}""#)), RejectionCode::Rejected, &["/type", "/unit"]);
    check_refused(&event(r#","id":"2","data":{}"#), RejectionCode::Rejected, &[""]);
    let old = event(&format!(r#","data":{RECORD}"#)).replace("1.0", "0.3");
    check_refused(&old, RejectionCode::Rejected, &["/specversion"]);
    let both = event(&format!(r#","data":{bad}"#)).replace("1.0", "0.3");
    check_refused(&both, RejectionCode::Rejected, &["/specversion", "/data/type", "/data/unit"]);
    let twice = event(&format!(r#","traceparent":"{TRACE}","trace\u0070arent":"{TRACE}","data":{RECORD}"#));
    check_refused(&twice, RejectionCode::Rejected, &[""]);
}

#[track_caller]
fn check_attribute(id: &str, detail: &str) {
    let json = format!(r#"{{"specversion":"1.0","id":{id},"source":"/a","type":"b","data":{RECORD}}}"#);
    let rejection = read(json.as_bytes()).record.expect_err(&json);
    let found: Vec<_> = rejection.errors.iter().map(|error| (error.pointer.as_str(), error.detail.as_str())).collect();
    assert_eq!(found, [("/id", detail)], "{json}");
    assert_eq!(rejection.record_id.map(|id| id.to_string()).as_deref(), Some("a"));
}

#[test]
fn what_is_wrong_with_an_attribute_is_said() {
    check_attribute("7", "must be a string");
    check_attribute("[]", "must be a string");
    check_attribute("true", "must be a string");
    check_attribute("\"\"", "must not be empty");
    check_attribute("null", "is missing from the CloudEvent");
}

#[test]
fn an_array_of_events_is_bounded() {
    let array = format!("[{0},{0}]", event(&format!(r#","data":{RECORD}"#)));
    assert_eq!(read_array(array.as_bytes(), 2).map(|events| events.len()), Ok(2));
    assert_eq!(read_array(array.as_bytes(), 1).map(|events| events.len()), Err(ArrayError::TooMany));
    assert_eq!(read_array(b"{}", 1).map(|events| events.len()), Err(ArrayError::NotAnArray));
    assert!(matches!(read_array(b"[", 1), Err(ArrayError::NotJson(_))));
}

#[test]
fn headers_make_an_event_of_a_record() {
    let mut headers = HeaderMap::new();
    for name in REQUIRED {
        let name = HeaderName::try_from(format!("{HEADER_PREFIX}{name}")).unwrap();
        headers.insert(name, HeaderValue::from_static("1.0"));
    }
    headers.insert(TRACEPARENT, HeaderValue::from_static(TRACE));
    assert!(is_binary(&headers));
    let read = read_binary(&headers, RECORD.as_bytes());
    assert_eq!((read.record.is_ok(), read.traceparent.as_deref()), (true, Some(TRACE)));

    let mut repeated = headers.clone();
    repeated.append("ce-id", HeaderValue::from_static("2"));
    repeated.append(TRACEPARENT, HeaderValue::from_static(TRACE));
    check_binary(&repeated, RECORD, &["/id", "/traceparent"]);
    assert_eq!(read_binary(&repeated, RECORD.as_bytes()).traceparent, None);

    headers.remove("ce-id");
    check_binary(&headers, RECORD, &["/id"]);
    check_binary(&headers, &RECORD.replace("positive", "neither"), &["/id", "/type"]);
    assert_eq!(read_binary(&headers, b"{").record.unwrap_err().code, RejectionCode::NotJson);
    // Without its version it is an event all the same: its trace must not be lost.
    let mut trace_alone = HeaderMap::new();
    assert!(!is_binary(&trace_alone));
    trace_alone.insert(TRACEPARENT, HeaderValue::from_static(TRACE));
    assert!(is_binary(&trace_alone));
    check_binary(&trace_alone, RECORD, &["/specversion", "/id", "/source", "/type"]);
}

#[track_caller]
fn check_binary(headers: &HeaderMap, json: &str, pointers: &[&str]) {
    let rejection = read_binary(headers, json.as_bytes()).record.unwrap_err();
    let found: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!((rejection.code, &found[..]), (RejectionCode::Rejected, pointers), "{headers:?}");
}
