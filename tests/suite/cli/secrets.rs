//! No secret leaves the program: not by its log at any level, not by its errors, not by what it prints.

use std::sync::Arc;

use tallyhouse_tests::clients::http::send;
use tallyhouse_tests::data::records::record;
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::redis_server::{RedisOptions, RedisServer};
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

/// Every password and key of these tests begins with it, so that also a part of one is found.
const MARK: &str = "hunter";

/// Everything that any library may have to say.
const EVERYTHING: (&str, &str) = ("TALLYHOUSE_LOG__FILTER", "trace");

#[track_caller]
fn check(text: &str, what: &str) {
    let leak = text.lines().find(|line| line.contains(MARK));
    assert!(leak.is_none(), "{what} shows a secret: {leak:?}");
}

/// Databases that can't be reached, and URLs that somebody has written wrongly.
const DATABASES: [&str; 14] = [
    "postgres://u:hunter2@127.0.0.1:1/db",
    "postgres://u:hunter2@name.invalid/db",
    "postgres://127.0.0.1:1/db?user=u&password=hunter2",
    "postgres://127.0.0.1:1/db?user=u&passw%6Frd=hunter2",
    "postgres://u:hunter2@hunter3@127.0.0.1:1/db",
    "postgres://u:hunter2/hunter3@127.0.0.1:1/db",
    "postgres://u:hunter2%zz@127.0.0.1:1/db",
    "postgres://u:hunter2@[::1]x/db",
    "postgres://u:hunter2/db",
    "postgres://127.0.0.1:1/db?password=hunter2&hunter3",
    "postgres:/u:hunter2@127.0.0.1:1/db",
    "u:hunter2@127.0.0.1/db",
    "host=127.0.0.1 port=1 password=hunter2",
    "mysql://u:hunter2@h/db",
];

#[test]
fn a_database_that_can_t_be_reached_or_is_named_wrongly_shows_no_password() {
    let folder = Folder::new();
    for url in DATABASES {
        let env = [("TALLYHOUSE_DATABASE__URL", url), EVERYTHING];
        for command in ["migrate", "config", "verify"] {
            let ran = folder.run_with(&env, &[command], b"");
            check(&ran.stdout, &format!("{command} {url}"));
            check(&ran.stderr, &format!("{command} {url}"));
        }
        let ran = folder.run_with(&[("TALLYHOUSE_DATABASE__URL", url)], &["migrate"], b"");
        assert!(ran.code.is_some_and(|code| code != 0) && !ran.stderr.is_empty(), "{url}");
    }
}

#[test]
fn a_redis_that_can_t_be_reached_or_is_named_wrongly_shows_no_password() {
    let folder = Folder::new();
    for url in [
        "redis://:hunter2@127.0.0.1:port/0",
        "redis:/:hunter2@127.0.0.1:1",
        "redis://u:hunter2/hunter3@h",
        "redis+sentinel://u:hunter2@127.0.0.1:1",
        "redis+sentinel://u:hunter2@127.0.0.1:1/svc?sentinel_pass=hunter3",
        "redis+cluster://u:hunter2@127.0.0.1:1/7",
        "http://u:hunter2@h",
    ] {
        let env = [("TALLYHOUSE_REDIS__URL", url), EVERYTHING];
        for command in [&["config"][..], &["dead-letters", "list"]] {
            let ran = folder.run_with(&env, command, b"");
            check(&ran.stdout, &format!("{command:?} {url}"));
            check(&ran.stderr, &format!("{command:?} {url}"));
        }
    }
    let options =
        Options::new().env("TALLYHOUSE_REDIS__URL", "redis://u:hunter2@127.0.0.1:1/0").env(EVERYTHING.0, "trace");
    let service = Service::start_with(options);
    service.http().record(&record("a")).expect_status(201);
    wait::until("publishing fails", || service.log().contains("publishing failed").then_some(()));
    check(&service.log(), "the log");
    check(service.http().get("/readyz").text(), "/readyz");
}

#[test]
fn a_password_that_redis_refuses_is_not_shown() {
    let users = vec!["u on >right ~* &* +@all".to_owned()];
    let server = RedisServer::start_with(RedisOptions { users, ..RedisOptions::default() }).expect("Redis starts");
    let url = format!("redis://u:hunter2@127.0.0.1:{}/0", server.port());
    let service = Service::start_with(Options::new().env("TALLYHOUSE_REDIS__URL", url).env(EVERYTHING.0, "trace"));
    service.http().record(&record("a")).expect_status(201);
    wait::until("publishing fails", || service.log().contains("publishing failed").then_some(()));
    check(&service.log(), "the log");
}

#[test]
fn keys_are_neither_logged_nor_quoted() {
    let folder = Folder::new();
    let printed = folder.run(&["keys", "new", "--name", "a", "--scope", "ingest,read"]).ok().stdout;
    let (first, entry) = printed.split_once('\n').expect("the key, and the lines to keep");
    let key = first.strip_prefix("key: ").expect("the key comes first").to_owned();
    folder.write("keys.toml", entry);
    folder.write("a.ndjson", record("a").to_string());
    let options = Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml").env(EVERYTHING.0, "trace");
    let service = Service::start_in(Arc::new(folder), options);
    for (key, status) in [(key.as_str(), 200), ("th_hunter2", 401)] {
        let request = service.http().request("GET", "/v1/records").header("authorization", format!("Bearer {key}"));
        assert_eq!(send(request).status, status);
    }
    let url = service.url();
    for (key, code) in [(key.as_str(), 0), ("th_hunter2", 1)] {
        let ran = service.folder().run_with(&[EVERYTHING], &["import", "a.ndjson", "--url", &url, "--key", key], b"");
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(!ran.stderr.contains(key) && !ran.stdout.contains(key), "{}", ran.stderr);
    }
    let log = service.log();
    assert!(log.contains("answered"), "the log tells of requests");
    check(&log, "the log");
    assert!(!log.contains(&key), "the log shows a key");

    // Somebody has kept the key itself, or put it into the wrong place.
    for file in ["[[keys]]\nname = \"a\"\nhash = \"th_hunter2\"\nscopes = [\"read\"]\n", "th_hunter2", "[th_hunter2"] {
        service.folder().write("broken.toml", file);
        let env = [("TALLYHOUSE_AUTH__KEYS_FILE", "broken.toml"), EVERYTHING];
        let ran = service.folder().run_with(&env, &["serve"], b"");
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        check(&ran.stderr, file);
    }
}

#[test]
fn addresses_with_passwords_are_asked_without_showing_them() {
    let folder = Folder::new();
    folder.write("a.ndjson", record("a").to_string());
    for url in ["http://u:hunter2@127.0.0.1:1", "http://u:hunter2@h:port", "ftp://u:hunter2@h", "u:hunter2@h"] {
        let ran = folder.run_with(&[EVERYTHING], &["import", "a.ndjson", "--url", url], b"");
        assert!(ran.code.is_some_and(|code| code != 0), "{url}");
        check(&ran.stderr, url);
    }
}
