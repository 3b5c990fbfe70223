//! URLs that libpq would misread.

use super::*;

#[test]
fn urls_as_libpq_has_them_are_taken() {
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
fn what_libpq_would_quote_or_take_for_a_host_is_refused() {
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
    ] {
        assert!(check_url(url).is_err_and(|fault| !fault.contains("secret")), "{url}");
    }
}
