//! Tests of masking.

use proptest::prelude::*;

use super::*;

#[test]
fn only_passwords_are_masked_in_urls() {
    let table = [
        ("postgres://u:secret@h:5432/db", "postgres://u:***@h:5432/db"),
        ("postgres://u@h:5432/db", "postgres://u@h:5432/db"),
        ("postgres://h/db", "postgres://h/db"),
        ("redis://:secret@h:6379/0", "redis://:***@h:6379/0"),
        (
            "postgres://h/db?user=u&password=secret&sslmode=require",
            "postgres://h/db?user=u&password=***&sslmode=require",
        ),
        ("postgres://u:p@ss@h/db", "postgres://u:***@h/db"),
        ("postgres://u:p/a?s&s@h/db", "postgres://u:***@h/db"),
        (
            "redis+sentinel://u:x@a:1,b:2/svc/0?sentinel_password=y",
            "redis+sentinel://u:***@a:1,b:2/svc/0?sentinel_password=***",
        ),
        ("postgres://h/db?password=a@b&user=u", "postgres://***"),
        ("postgres://h:1/db?password=a@b", "postgres://***"),
        ("postgres://u@h/db?pass%77ord=secret", "postgres://u@h/db?pass%77ord=***"),
        ("postgres://h/db?password=secret&secret", "postgres://h/db?password=***&***"),
        ("redis+sentinel://a:1/svc?sentinel_pass=secret", "redis+sentinel://a:1/svc?sentinel_pass=***"),
        ("postgres://h/db?passfile=/run/pass&user=u", "postgres://h/db?passfile=/run/pass&user=u"),
        ("postgres://u:secret", "postgres://***"),
        ("postgres://u:secret/db", "postgres://***"),
        ("postgres://a:1,b:2,[::1]:3,[::1]/db", "postgres://a:1,b:2,[::1]:3,[::1]/db"),
        ("postgres:/u:secret@h/db", "***"),
        ("u:secret@h/db", "***"),
        ("host=h password=secret", "***"),
        ("unix:///run/redis.sock?pass=x", "unix:///run/redis.sock?pass=***"),
        ("h:8080", "h:8080"),
        ("sqlite://a:b@c.db", "sqlite://a:b@c.db"),
        ("sqlite:a=b@c.db", "sqlite:a=b@c.db"),
        ("sqlite::memory:", "sqlite::memory:"),
        ("", ""),
    ];
    for (url, masked) in table {
        assert_eq!(mask(url), masked);
    }
}

#[test]
fn a_secret_is_not_shown_by_debug() {
    assert_eq!(format!("{:?}", Secret::new("x")), "***");
}

proptest! {
    #[test]
    fn no_password_is_left_in_a_masked_url(password in "[!-~]{8,20}") {
        let url = format!("postgres://user:{password}@host/db");
        // A password that looks like a parameter masks the rest of the address, too.
        let expect = ["postgres://user:***@host/db", "postgres://***"];
        prop_assert!(expect.contains(&mask(&url).as_str()), "{}", mask(&url));
    }
}
