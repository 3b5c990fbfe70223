//! Tests of the forms of a database's URL.

use super::*;

#[test]
fn every_form_of_a_url_is_parsed() {
    let file = |path: &str| DatabaseUrl::Sqlite(PathBuf::from(path));
    let table = [
        ("sqlite://rel.db", file("rel.db")),
        ("sqlite:rel.db", file("rel.db")),
        ("sqlite:///var/lib/t.db", file("/var/lib/t.db")),
        ("sqlite:/var/lib/t.db", file("/var/lib/t.db")),
        ("sqlite://./a b/t.db", file("./a b/t.db")),
        ("sqlite::memory:", DatabaseUrl::Temporary),
        ("sqlite://:memory:", DatabaseUrl::Temporary),
        ("postgres://u@h/d", DatabaseUrl::Postgres("postgres://u@h/d".to_owned())),
        ("postgresql:///d?host=/tmp", DatabaseUrl::Postgres("postgresql:///d?host=/tmp".to_owned())),
    ];
    for (url, database) in table {
        assert_eq!(DatabaseUrl::parse(url), Ok(database), "{url}");
    }
}

#[test]
fn other_urls_are_refused() {
    for url in
        ["", "tallyhouse.db", "sqlite://", "sqlite:", "sqlite:a.db?mode=ro", "mysql://h/d", "Postgres://h", "file:x"]
    {
        assert!(DatabaseUrl::parse(url).is_err(), "{url}");
    }
}

#[test]
fn passwords_are_masked() {
    let database = DatabaseUrl::parse("postgres://u:secret@h/d").unwrap();
    assert_eq!(format!("{database} {database:?}"), "postgres://u:***@h/d postgres://u:***@h/d");
}
