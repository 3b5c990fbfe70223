//! Which URLs leave a connection unprotected.

use super::*;

#[test]
fn a_server_on_another_machine_needs_a_mode() {
    for url in [
        "postgres://db.example/d",
        "postgres://u:p@db.example:5432/d?connect_timeout=3",
        "postgresql://u@10.0.0.7/d",
        "postgres://u@[2001:db8::1]:5432/d",
        "postgres://localhost,db.example/d",
        "postgres:///d?host=db.example",
        "postgres://localhost/d?hostaddr=10.0.0.7",
        "postgres://u@db.example/d?sslrootcert=/run/ca.pem",
        "postgres://u@0.0.0.0/d",
        "postgres://u?x@db.example/d",
    ] {
        assert!(leaves_machine_unprotected(url, ""), "{url}");
    }
}

#[test]
fn this_machine_and_a_chosen_mode_are_left_alone() {
    for url in [
        "postgres://",
        "postgres:///d",
        "postgres:///d?host=/run/postgresql",
        "postgres://u@%2Frun%2Fpostgresql/d",
        "postgres://u@/d?host=@abstract",
        "postgres://u:p@localhost:5432/d",
        "postgres://u:p@127.0.0.1,[::1]:5433/d",
        "postgres://db.example/d?hostaddr=127.0.0.1",
        "postgres://db.example/d?host=::1",
        "postgres://u:p@db.example/d?sslmode=disable",
        "postgres://u:p@db.example/d?sslmode=verify-full",
        "postgres://u:p@db.example/d?ssl=true",
        "postgres://u:p@db.example/d?sslrootcert=system",
        "postgres://u:p@db.example/d?require_auth=password",
        "host=db.example",
    ] {
        assert!(!leaves_machine_unprotected(url, ""), "{url}");
    }
}

#[track_caller]
fn check(url: &str, variables: &[(&str, &str)], expect: bool) {
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    assert_eq!(is_unprotected(url, variable), expect, "{url} {variables:?}");
}

#[test]
fn the_environment_says_how_a_connection_is_protected_where_the_url_does_not() {
    const FAR: &str = "postgres://u:p@db.example/d";
    check(FAR, &[], true);
    check(FAR, &[("PGSSLMODE", "verify-full")], false);
    check(FAR, &[("PGSSLMODE", "require")], false);
    // Somebody has decided so, as by sslmode=disable in the URL.
    check(FAR, &[("PGSSLMODE", "disable")], false);
    check(FAR, &[("PGREQUIREAUTH", "scram-sha-256")], false);
    check(FAR, &[("PGREQUIREAUTH", "!password")], false);
    check(FAR, &[("PGSSLMODE", ""), ("PGREQUIREAUTH", "none")], false);
    check(FAR, &[("PGSSLMODE", "")], true);
    check(FAR, &[("PGREQUIREAUTH", "")], true);
    check(FAR, &[("PGSSLMODE", ""), ("PGREQUIREAUTH", "")], true);
    check(FAR, &[("pgsslmode", "verify-full"), ("SSLMODE", "verify-full"), ("PGSSLCERT", "c.pem")], true);
    check("postgres://u:p@db.example/d?sslmode=prefer", &[], false);
    check("postgres://localhost/d", &[("PGSSLMODE", "")], false);
}

#[test]
fn the_environment_names_the_machine_where_the_url_does_not() {
    check("postgres:///d", &[], false);
    check("postgres:///d", &[("PGHOST", "db.example")], true);
    check("postgres:///d", &[("PGHOST", "")], false);
    check("postgres:///d", &[("PGHOST", "/run/postgresql")], false);
    check("postgres:///d", &[("PGHOST", "db.example"), ("PGHOSTADDR", "127.0.0.1")], false);
    check("postgres:///d", &[("PGHOST", "localhost"), ("PGHOSTADDR", "10.0.0.7")], true);
    check("postgres:///d", &[("PGHOST", "localhost"), ("PGHOSTADDR", "")], false);
    check("postgres:///d", &[("PGHOST", "db.example"), ("PGSSLMODE", "verify-full")], false);
    check("postgres://localhost/d", &[("PGHOST", "db.example"), ("PGHOSTADDR", "")], false);
}

#[test]
fn a_url_without_a_host_means_that_of_the_environment() {
    for (url, host, is_unprotected) in [
        ("postgres:///d", "db.example", true),
        ("postgres://u@/d", "10.0.0.7", true),
        ("postgres:///d?sslmode=require", "db.example", false),
        ("postgres:///d", "/run/postgresql", false),
        ("postgres://localhost/d", "db.example", false),
    ] {
        assert_eq!(leaves_machine_unprotected(url, host), is_unprotected, "{url}, {host}");
    }
}
