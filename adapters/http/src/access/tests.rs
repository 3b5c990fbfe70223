//! Who may come in, header by header.

use hyper::header::HeaderValue;

use super::*;

#[track_caller]
fn check_bearer(values: &[&str], expect: Option<&str>) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    assert_eq!(bearer(&headers), expect.map(str::as_bytes), "{values:?}");
}

#[test]
fn a_key_is_a_bearer_token_in_one_header() {
    check_bearer(&["Bearer th_x"], Some("th_x"));
    check_bearer(&["bearer th_x"], Some("th_x"));
    check_bearer(&["BEARER  th_x"], Some("th_x"));
    check_bearer(&[], None);
    check_bearer(&[""], None);
    check_bearer(&["Bearer"], None);
    check_bearer(&["Bearer "], None);
    check_bearer(&["Bearerth_x"], None);
    check_bearer(&["Basic dGg6"], None);
    check_bearer(&["th_x"], None);
    check_bearer(&["Bearer th_x", "Bearer th_x"], None);
}

#[track_caller]
fn check_site(uri: &str, host: Option<&str>, origin: Option<&str>, cross: bool) {
    let mut request = Request::builder().uri(uri);
    if let Some(host) = host {
        request = request.header(HOST, host);
    }
    if let Some(origin) = origin {
        request = request.header(ORIGIN, origin);
    }
    assert_eq!(is_cross_site(&request.body(()).unwrap()), cross, "{uri} {host:?} {origin:?}");
}

#[test]
fn a_page_of_another_host_is_cross_site() {
    check_site("/", Some("localhost:8080"), None, false);
    check_site("/", None, None, false);
    check_site("/", Some("localhost:8080"), Some("http://localhost:8080"), false);
    check_site("/", Some("Example.org"), Some("https://example.ORG"), false);
    check_site("/", Some("[::1]:8080"), Some("http://[::1]:8080"), false);
    check_site("http://localhost:8080/", None, Some("http://localhost:8080"), false);
    check_site("/", Some("localhost:8080"), Some("http://localhost:8081"), true);
    check_site("/", Some("localhost:8080"), Some("http://localhost"), true);
    check_site("/", Some("localhost:8080"), Some("http://evil.example"), true);
    check_site("/", Some("localhost:8080"), Some("null"), true);
    check_site("/", Some("localhost:8080"), Some(""), true);
    check_site("/", None, Some("http://localhost:8080"), true);
    check_site("http://localhost:8080/", Some("evil.example"), Some("http://evil.example"), true);
}
