//! Tests of masking.

use proptest::prelude::*;

use super::*;

#[test]
fn passwords_in_urls_are_masked_and_nothing_else_is() {
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
        ("sqlite://a:b@c.db", "sqlite://a:b@c.db"),
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
        prop_assert_eq!(mask(&url), "postgres://user:***@host/db");
    }
}
