//! Any request is answered, never with a fault of ours, and with `400` exactly where its parameters are bad.

mod parameters;

use bytes::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, LINK};
use hyper::{Method, Request, StatusCode, Uri};
use serde_json::Value;
use tallyhouse_http::HttpSettings;
use tallyhouse_http::testing::{Api, Response, cursor, next_page, places, traceparent};
use tallyhouse_pipeline::Record;

use crate::service::{self, Service};
use parameters::{Expected, expected};

/// What is stored: ids, destinations and references that want to be encoded.
const STORED: [&str; 4] = [
    r#"{"recordId":"r-1","time":"2026-01-01T00:00:00Z","sourceId":"s","destinationId":"d","type":"positive","value":"1","unit":"u","reference":""}"#,
    r#"{"recordId":"a/b c","time":"2026-01-01T00:00:00Z","sourceId":"s","destinationId":"d","type":"negative","value":"2.50","unit":"u","reference":"R&1"}"#,
    r#"{"recordId":"%41","time":"2026-01-02T00:00:00.000001Z","sourceId":"é","destinationId":"é","type":"positive","value":"0","unit":"u","reference":"+"}"#,
    r#"{"recordId":"batch","time":"9999-12-31T23:59:59.999999Z","sourceId":"s","destinationId":"d/e","type":"positive","value":"1001","unit":"v","reference":""}"#,
];

/// Pages after which there must be no more.
const PAGES_MAX: usize = STORED.len() + 1;

/// Checks a request: a line with its method and target, lines of headers, a line without anything, and its body.
pub fn check(data: &[u8]) {
    let Some(request) = read(data) else { return };
    trace(request.headers());
    query(request.uri());
    service::run(answer(request));
}

fn read(data: &[u8]) -> Option<Request<Vec<Bytes>>> {
    let (first, mut rest) = line(data)?;
    let (method, target) = std::str::from_utf8(first).ok()?.split_once(' ')?;
    // A proxy's form of a target is not for us.
    let uri: Uri = Some(target).filter(|target| target.starts_with('/'))?.parse().ok()?;
    let mut request = Request::new(Vec::new());
    *request.method_mut() = method.parse().ok()?;
    *request.uri_mut() = uri;
    while let Some((header, after)) = line(rest) {
        rest = after;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_at(header.iter().position(|b| *b == b':')?);
        let value = HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?;
        request.headers_mut().append(HeaderName::from_bytes(name).ok()?, value);
    }
    // Without a host nothing else of a request would be looked at.
    request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
    request.body_mut().push(Bytes::copy_from_slice(rest));
    Some(request)
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let end = bytes.iter().position(|b| *b == b'\n');
    Some(end.map_or((bytes, b"".as_slice()), |end| (&bytes[..end], &bytes[end + 1..])))
}

/// Checks that only what the standard calls valid is handed on, as it came.
fn trace(headers: &hyper::HeaderMap) {
    let Some(handed_on) = traceparent(headers) else { return };
    let given: Vec<&HeaderValue> = headers.get_all("traceparent").iter().collect();
    assert_eq!(given, [handed_on.as_str()]);
    let lengths: Vec<usize> = handed_on.split('-').map(str::len).collect();
    assert!(lengths.starts_with(&[2, 32, 16, 2]), "{handed_on}");
    let hex = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    assert!(handed_on.split('-').take(4).all(hex), "{handed_on}");
    let parts: Vec<&str> = handed_on.split('-').collect();
    assert!(parts[0] != "ff" && (parts[0] != "00" || parts.len() == 4), "{handed_on}");
    assert!(!parts[1..3].iter().any(|id| id.bytes().all(|b| b == b'0')), "{handed_on}");
}

/// Checks that a query is written as it was read, and that a cursor is only what was handed out.
fn query(uri: &Uri) {
    let query = uri.query().unwrap_or_default();
    let Some(names) = parameters::read(query) else { return };
    let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(link) = next_page(query, &known, "c") {
        let next = link.strip_prefix("<?").and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
        let mut expected: Vec<_> = names.iter().filter(|(name, _)| name != "cursor").cloned().collect();
        expected.push(("cursor".to_owned(), "c".to_owned()));
        assert_eq!(parameters::read(next), Some(expected));
    }
    for (_, text) in &names {
        let places = places(text);
        assert!(places.len() <= 1, "a cursor of one call is none of another");
        assert!(places.iter().all(|place| cursor(place) == *text), "{text} was never handed out");
    }
}

async fn answer(request: Request<Vec<Bytes>>) {
    let service = Service::start();
    let records = STORED.map(|json| Record::from_json(json.as_bytes()).expect("these are records").into());
    service.pipeline.ingress().submit(records.into()).await.expect("a store in memory takes them");
    let api = service.http(HttpSettings { record_bytes_max: 1_024, ..HttpSettings::default() }, None);

    let (method, uri) = (request.method().clone(), request.uri().clone());
    // A client that was cut off says so in a header, which comes before what its query says.
    let resumes = request.headers().contains_key("last-event-id");
    // Another host is refused before the query is read.
    let is_ours = request.headers().get_all(HOST).iter().eq(["localhost"]);
    let answer = api.answer(request).await.expect("a service in memory never breaks off");
    let status = answer.status;
    assert!(!status.is_server_error(), "{method} {uri}: {status}");
    assert!(answer.headers.contains_key("x-request-id"));
    // What a caller has already is not sent again, and that is no problem.
    if !status.is_success() && status != StatusCode::NOT_MODIFIED && method != Method::HEAD {
        is_problem(&answer);
    }
    if method == Method::GET && !resumes && is_ours {
        match expected(&uri) {
            // A good cursor may be one that nobody has handed out.
            Expected::Good if uri.query().unwrap_or_default().contains("after=") => {
                assert!([200, 410].contains(&status.as_u16()), "{uri}: {status}");
            }
            Expected::Good => assert_eq!(status, 200, "{uri}"),
            Expected::Bad => assert_eq!(status, 400, "{uri}"),
            Expected::NotFound => assert_eq!(status, 404, "{uri}"),
            Expected::Any => {}
        }
        if !uri.query().unwrap_or_default().contains("cursor") {
            follow(&api, uri.path(), answer).await;
        }
    }
}

fn is_problem(answer: &Response) {
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(&answer.body).expect("a problem is JSON");
    assert_eq!(problem["status"], answer.status.as_u16());
    assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("urn:tallyhouse:problem:")), "{problem}");
    assert!(["title", "detail"].iter().all(|name| problem[name].is_string()), "{problem}");
}

/// Follows the pages to their end: each is another.
async fn follow(api: &Api, path: &str, first: Response) {
    let mut seen = vec![first.body];
    let mut link = first.headers.get(LINK).cloned();
    while let Some(next) = link {
        let next = next.to_str().expect("a link is text");
        let query = next.strip_prefix('<').and_then(|next| next.split_once('>')).expect("a link").0;
        assert!(query.starts_with('?'), "a reference relative to the call: {next}");
        let target = format!("{path}{query}");
        let page = service::ask(api, "GET", &target, "", Vec::new()).await;
        assert_eq!(page.status, 200, "{target}");
        assert!(!seen.contains(&page.body), "{target}");
        seen.push(page.body);
        assert!(seen.len() <= PAGES_MAX, "{target}");
        link = page.headers.get(LINK).cloned();
    }
}
