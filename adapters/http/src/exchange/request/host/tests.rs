//! Which hosts a foreign page may stand behind.

use super::*;

#[track_caller]
fn check(host: &str, expect: Option<&str>) {
    assert_eq!(foreign_name(host.as_bytes()).as_deref(), expect, "{host:?}");
}

#[test]
fn names_are_foreign_and_addresses_are_not() {
    for own in [
        "localhost",
        "LocalHost:8080",
        "localhost.",
        "app.localhost:1",
        "127.0.0.1",
        "127.0.0.1:8080",
        "10.0.0.7:80",
        "[::1]",
        "[::1]:8080",
        "[fe80::1]:80",
    ] {
        check(own, None);
    }
    check("evil.example", Some("evil.example"));
    check("Evil.Example.:8080", Some("evil.example"));
    check("localhost.evil.example", Some("localhost.evil.example"));
    check("notlocalhost", Some("notlocalhost"));
    check("127.0.0.1.evil.example:80", Some("127.0.0.1.evil.example"));
    check("[::1].evil", Some("[::1].evil"));
    check("", Some(""));
    check("\u{1f}x:y", Some("\u{1f}x:y"));
}

#[test]
fn a_host_is_named_once() {
    for (version, hosts, expect) in [
        (Version::HTTP_11, 0, true),
        (Version::HTTP_11, 1, false),
        (Version::HTTP_11, 2, true),
        (Version::HTTP_10, 0, false),
        (Version::HTTP_10, 2, true),
        (Version::HTTP_2, 0, false),
        (Version::HTTP_2, 2, true),
    ] {
        let mut request = Request::builder().version(version);
        for _ in 0..hosts {
            request = request.header(HOST, "localhost");
        }
        assert_eq!(is_ambiguous(&request.body(()).unwrap()), expect, "{version:?} {hosts}");
    }
}
