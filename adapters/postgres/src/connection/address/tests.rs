//! URLs that libpq would misread.

use super::*;

#[test]
fn urls_that_libpq_understands_are_accepted() {
    for url in [
        "postgres://",
        "postgres:///db?host=/tmp",
        "postgres://h",
        "postgres://h:5432/db",
        "postgres://u@h/db",
        "postgres://u:p@h:5432/db?sslmode=verify-full&sslrootcert=/a/b.pem",
        "postgres://u:p%40%2F@h/db",
        "postgres://u:p?x#y:z@h/db",
        "postgres://a:1,b:2,[::1]:3/db?target_session_attrs=read-write",
        "postgres://[::1]/db",
        "postgres://h?user=a@b",
        "postgres://h:/db?password=x%26y",
        "postgres://%2Ftmp/db",
        "host=h password=secret",
    ] {
        assert_eq!(check_url(url), Ok(()), "{url}");
    }
}

#[test]
fn a_url_that_libpq_would_misread_is_refused_without_quoting_it() {
    for url in [
        "postgres://u:p@ss@h/db",
        "postgres://u:pa/ss@h/db",
        "postgres://u:12/ss@h/db",
        "postgres://u:secret/db",
        "postgres://u:se%zzcret@h/db",
        "postgres://u:secret%@h/db",
        "postgres://u:secret%00@h/db",
        "postgres://u:secret@[::1]x/db",
        "postgres://u:secret@[::1/db",
        "postgres://u:secret@[]/db",
        "postgres://h/db?password=a&b",
        "postgres://h/db?password=a=b",
        "postgres://u:secret@h:port/db",
        "postgres://u:secret@h/db?sslmode=verify-full&connect_timeout=3&sslmode=disable",
    ] {
        assert!(check_url(url).is_err_and(|error| !error.contains("secret")), "{url}");
    }
}
