//! Who may come in, header by header.

use std::hint::black_box;
use std::time::Instant;

use hyper::header::{HOST, HeaderValue};

use super::*;
use crate::keys::NewKey;

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
    assert_eq!(cross_site(&request.body(()).unwrap()).is_some(), cross, "{uri} {host:?} {origin:?}");
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

fn with_authorization(value: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(value.map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap())));
    headers
}

#[test]
fn no_entry_opens_to_who_has_no_key() {
    // Somebody who made a hash by hand may have made it of nothing.
    let hash = blake3::hash(b"").to_hex();
    let keys =
        Keys::parse(&format!("[[keys]]\nname = \"a\"\nhash = \"blake3:{hash}\"\nscopes = [\"read\"]\n")).unwrap();
    for value in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic dTpw")] {
        assert_eq!(holder(&keys, &with_authorization(value)), None, "{value:?}");
    }
}

/// That the times are alike is by construction, and a busy machine would make any bound on them fail: they are printed,
/// to be looked at with `--nocapture`.
#[test]
fn all_refusals_are_alike() {
    const ROUNDS: usize = 2_000;
    let new = || NewKey::make("a", &[Scope::Read]).unwrap();
    let known: Vec<NewKey> = (0..20).map(|_| new()).collect();
    let keys = Keys::parse(&known.iter().map(NewKey::entry).collect::<String>()).unwrap();
    let near = known[7].text().strip_suffix(|_: char| true).unwrap();
    let table = [
        ("no key", with_authorization(None)),
        ("malformed", with_authorization(Some("Basic dXNlcjpw"))),
        ("unknown", with_authorization(Some(&format!("Bearer {}", new().text())))),
        ("nearly one", with_authorization(Some(&format!("Bearer {near}")))),
    ];
    let mut times = vec![Vec::new(); table.len()];
    for _ in 0..ROUNDS {
        for ((what, headers), times) in table.iter().zip(&mut times) {
            let began = Instant::now();
            let found = black_box(holder(&keys, black_box(headers)));
            times.push(began.elapsed());
            assert_eq!(found, None, "{what}");
        }
    }
    for ((what, _), times) in table.iter().zip(&mut times) {
        times.sort_unstable();
        println!("{what}: median {:?} of {ROUNDS}", times[ROUNDS / 2]);
    }
}
