//! Who may read and write the files of the service, and files of secrets that no command may harm.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tallyhouse_tests::clients::http::send;
use tallyhouse_tests::clients::scrape::Scrape;
use tallyhouse_tests::data::records::record;
use tallyhouse_tests::folder::Folder;
use tallyhouse_tests::servers::certificates;
use tallyhouse_tests::servers::service::{Options, Service};
use tallyhouse_tests::wait;

use crate::api::access::new_key;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

fn set_mode(folder: &Folder, name: &str, mode: u32) {
    fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).expect("rights can be set");
}

#[test]
fn no_output_overwrites_a_file_of_secrets() {
    let folder = Folder::new();
    folder.write("x.ndjson", record("a").to_string());
    folder.write("database-url", "sqlite://t.db\n");
    folder.write("redis-url", "redis://127.0.0.1:1\n");
    folder.write("key", "th_key\n");
    for name in ["passwords", "authorities", "roots", "collector"] {
        folder.write(name, "http://127.0.0.1:1");
    }
    fs::create_dir(folder.path().join(".postgresql")).expect("a folder can be made");
    folder.write(".postgresql/postgresql.key", "secret");
    fs::hard_link(folder.path().join("database-url"), folder.path().join("hard")).expect("a link can be made");
    let env = [
        ("DATABASE_URL_FILE", "database-url"),
        ("TALLYHOUSE_REDIS__URL_FILE", "redis-url"),
        ("TALLYHOUSE_OTLP__ENDPOINT_FILE", "collector"),
        ("TALLYHOUSE_KEY_FILE", "key"),
        ("PGPASSFILE", "passwords"),
        ("PGSSLROOTCERT", "roots"),
        ("SSL_CERT_FILE", "authorities"),
    ];
    folder.run_with(&env, &["import", "x.ndjson"], b"").ok();
    let secrets = [
        "database-url",
        "./hard",
        "redis-url",
        "collector",
        "key",
        "passwords",
        "roots",
        "authorities",
        ".postgresql/postgresql.key",
        ".pgpass",
    ];
    for secret in secrets {
        let before = fs::read(folder.path().join(secret)).ok();
        for command in [&["export", "--format", "csv", "-o", secret][..], &["import", "x.ndjson", "--errors", secret]] {
            let ran = folder.run_with(&env, command, b"").exits(2);
            assert!(ran.stderr.contains("would overwrite"), "{secret}: {}", ran.stderr);
        }
        assert_eq!(fs::read(folder.path().join(secret)).ok(), before, "{secret}");
    }
    let by_url = [("DATABASE_URL", "postgres://u@127.0.0.1:1/d?sslmode=verify-full&sslkey=x.ndjson")];
    let ran = folder.run_with(&by_url, &["export", "-o", "x.ndjson"], b"").exits(2);
    assert!(ran.stderr.contains("would overwrite x.ndjson"), "{}", ran.stderr);
    folder.run_with(&env, &["export", "-o", "y.ndjson"], b"").ok();
}

#[test]
fn the_database_and_its_journals_are_for_their_owner_alone() {
    let service = Service::start();
    service.http().record(&record("a")).expect_status(201);
    for name in ["tallyhouse.db", "tallyhouse.db-wal", "tallyhouse.db-shm"] {
        assert_eq!(mode(&service.folder().path().join(name)), 0o600, "{name}");
    }
    let folder = Folder::new();
    folder.run(&["migrate"]).ok();
    set_mode(&folder, "tallyhouse.db", 0o640);
    folder.write("x.ndjson", record("a").to_string());
    folder.run(&["import", "x.ndjson"]).ok();
    assert_eq!(mode(&folder.path().join("tallyhouse.db")), 0o640, "rights that somebody has given stay");
}

#[test]
fn a_temporary_database_is_in_a_folder_for_its_owner_alone() {
    let folder = Folder::new();
    let temporary = folder.path().display().to_string();
    let options = Options::new().env("TALLYHOUSE_DATABASE__URL", "sqlite::memory:").env("TMPDIR", temporary);
    let _service = Service::start_with(options);
    let made: Vec<_> = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry")).collect();
    assert_eq!(made.iter().map(|entry| mode(&entry.path())).collect::<Vec<_>>(), [0o700]);
}

#[test]
fn a_keys_file_that_others_may_write_to_is_refused_and_one_that_they_may_read_is_warned_of() {
    let folder = Folder::new();
    new_key(&folder, "a", "read");
    let env = [("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml")];
    for open in [0o666, 0o602, 0o620] {
        set_mode(&folder, "keys.toml", open);
        for command in ["serve", "config check"] {
            let ran = folder.run_with(&env, &command.split(' ').collect::<Vec<_>>(), b"").exits(2);
            assert!(ran.stderr.contains("chmod go-w keys.toml"), "{open:o} {command}: {}", ran.stderr);
        }
    }
    for (open, warns) in [(0o644, true), (0o640, false), (0o600, false)] {
        set_mode(&folder, "keys.toml", open);
        let ran = folder.run_with(&env, &["config", "check"], b"").ok();
        assert_eq!(ran.stderr.contains("may read the keys file"), warns, "{open:o}: {}", ran.stderr);
    }
}

#[test]
fn a_key_of_tls_that_others_may_write_to_is_refused_and_one_that_they_may_read_is_warned_of() {
    let folder = Folder::new();
    certificates::authority(folder.path()).expect("an authority");
    certificates::issue(folder.path(), "server").expect("a certificate");
    let env = [("TALLYHOUSE_TLS__CERT_FILE", "server.crt"), ("TALLYHOUSE_TLS__KEY_FILE", "server.key")];
    set_mode(&folder, "server.key", 0o622);
    let ran = folder.run_with(&env, &["config", "check"], b"").exits(2);
    assert!(ran.stderr.contains("chmod go-w server.key"), "{}", ran.stderr);
    for (open, warns) in [(0o644, true), (0o600, false)] {
        set_mode(&folder, "server.key", open);
        let ran = folder.run_with(&env, &["config", "check"], b"").ok();
        assert_eq!(ran.stderr.contains("may read the key file of TLS"), warns, "{open:o}: {}", ran.stderr);
    }
}

#[test]
fn a_keys_file_that_becomes_a_pipe_leaves_the_keys_in_force_until_it_is_a_file_again() {
    let folder = Folder::new();
    let old = new_key(&folder, "a", "read");
    let options = Options::new().env("TALLYHOUSE_AUTH__KEYS_FILE", "keys.toml");
    let service = Service::start_in(Arc::new(folder), options);
    let folder = service.folder();
    let at = |name: &str| folder.path().join(name);
    let failing = |key: &str, fails: f64| {
        let request = service.http().request("GET", "/metrics").bearer_auth(key);
        let scrape = Scrape::parse(send(request).expect_status(200).text());
        (scrape.find("tallyhouse_reload_failing", &[("file", "keys")]) == Some(fails)).then_some(())
    };
    assert_eq!(failing(&old, 0.0), Some(()));

    let made = Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    // The file is never missing: that would be another fault.
    fs::hard_link(at("keys.toml"), at("good.toml")).expect("a link can be made");
    fs::rename(at("pipe"), at("keys.toml")).expect("a pipe can be renamed");
    wait::until("the failing reload shows", || failing(&old, 1.0));
    wait::until("the log says why", || service.log().contains("not a regular file").then_some(()));

    fs::rename(at("good.toml"), at("keys.toml")).expect("a file can be renamed");
    wait::until("the file is read again", || failing(&old, 0.0));
    let new = new_key(folder, "b", "read");
    wait::until("the new key opens", || {
        (send(service.http().request("GET", "/v1/records").bearer_auth(&new)).status == 200).then_some(())
    });
}

#[test]
fn an_empty_file_of_a_secret_selects_no_default() {
    let folder = Folder::new();
    folder.write("empty", "");
    folder.write("line", "\u{feff}\r\n");
    for variable in
        ["DATABASE_URL_FILE", "TALLYHOUSE_DATABASE__URL_FILE", "TALLYHOUSE_REDIS__URL_FILE", "TALLYHOUSE_KEY_FILE"]
    {
        for file in ["empty", "line"] {
            for command in ["config", "migrate"] {
                let ran = folder.run_with(&[(variable, file)], &[command], b"").exits(2);
                assert!(ran.stderr.contains(variable) && ran.stderr.contains("empty"), "{}", ran.stderr);
            }
        }
    }
    assert!(!folder.path().join("tallyhouse.db").exists());
}
