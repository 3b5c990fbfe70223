//! Connection strings: the parameters that are added, and those that take precedence.

use super::*;

#[track_caller]
fn check(url: &str, begins: &str, holds: &[&str]) {
    let string = PostgresSettings { url: url.to_owned(), ..PostgresSettings::default() }.connection_string();
    assert!(string.starts_with(begins), "{string}");
    for part in holds {
        assert!(string.contains(part), "{string} has no {part}");
    }
}

#[test]
fn time_outs_are_added_to_urls_and_to_lists() {
    check(
        "postgres://h/d",
        "postgres://h/d?application_name=tallyhouse&",
        &["&connect_timeout=3&", "&tcp_user_timeout=10000"],
    );
    check("postgres://h/d?sslmode=require", "postgres://h/d?sslmode=require&", &["&keepalives_idle=10&"]);
    check("host=h dbname=d", "host=h dbname=d application_name=tallyhouse ", &[" keepalives_interval=5 "]);
}

#[test]
fn parameters_of_the_url_take_precedence() {
    let url = "postgres://h/d?connect_timeout=9&application_name=mine";
    let string = PostgresSettings { url: url.to_owned(), ..PostgresSettings::default() }.connection_string();
    assert_eq!(string.matches("connect_timeout").count(), 1);
    assert_eq!(string.matches("application_name").count(), 1);
}

#[test]
fn the_debug_form_shows_no_password() {
    let settings = PostgresSettings { url: "postgres://u:secret@h/d".to_owned(), ..PostgresSettings::default() };
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn a_plain_password_is_refused_where_nothing_protects_the_connection() {
    let string =
        |url: &str| PostgresSettings { url: url.to_owned(), ..PostgresSettings::default() }.connection_string();
    assert!(string("postgres://u:p@db.example/d").ends_with("&require_auth=!password"));
    for url in ["postgres://u:p@127.0.0.1/d", "postgres://u:p@db.example/d?sslmode=verify-full"] {
        assert!(!string(url).contains("require_auth"), "{url}");
    }
}
