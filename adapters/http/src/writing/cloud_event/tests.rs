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
    check_refused("{}", RejectionCode::Rejected, &["/specversion", "/id", "/source", "/type"]);
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
    for (_, name) in REQUIRED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1.0"));
    }
    headers.insert(TRACEPARENT, HeaderValue::from_static(TRACE));
    assert!(is_binary(&headers));
    let read = read_binary(&headers, RECORD.as_bytes());
    assert_eq!((read.record.is_ok(), read.traceparent.as_deref()), (true, Some(TRACE)));
    headers.remove("ce-id");
    assert_eq!(read_binary(&headers, RECORD.as_bytes()).record.unwrap_err().errors[0].pointer, "/id");
}
