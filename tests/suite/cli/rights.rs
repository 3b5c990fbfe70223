//! Reading commands need no right to write, and a service with a current schema needs none to create tables.

use std::fs::{Permissions, metadata, set_permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;

use tallyhouse_tests::data::records::record;
use tallyhouse_tests::folder::{Folder, Ran, Running, binary};
use tallyhouse_tests::servers::postgres::PostgresServer;
use tallyhouse_tests::servers::service::{Options, Service};

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

const READING: [&[&str]; 3] = [&["aggregate"], &["export"], &["verify"]];

/// Makes a database with one record and a role with these rights. Returns the URL of the role.
fn database(role: &str, rights: &str) -> String {
    let server = PostgresServer::shared();
    let url = server.database().expect("a database");
    import(&Folder::new(), &[("DATABASE_URL", &url)]);
    let (_, name) = url.rsplit_once('/').expect("a URL has a path");
    let sql = format!(
        "CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC; \
         GRANT USAGE ON SCHEMA public TO {role}; {rights}"
    );
    server.psql(name, &sql).expect("a role");
    let (_, host) = url.split_once('@').expect("a URL has a user");
    format!("postgres://{role}@{host}")
}

fn import(folder: &Folder, env: &[(&str, &str)]) {
    folder.write("one.ndjson", record("a").to_string());
    folder.run_with(env, &["import", "one.ndjson"], b"").ok();
}

#[test]
fn a_role_that_can_only_read_is_enough_for_reading_commands() {
    let url = database(
        "tally_reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO tally_reader; \
         ALTER ROLE tally_reader SET default_transaction_read_only = on;",
    );
    for args in READING {
        let ran = Folder::new().run_with(&[("DATABASE_URL", &url)], args, b"").ok();
        assert!(!ran.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_role_that_can_create_nothing_is_enough_for_a_service_with_a_current_schema() {
    let url = database(
        "tally_service",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO tally_service; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO tally_service;",
    );
    let mut service = Service::start_with(Options::new().env("DATABASE_URL", &url));
    assert_eq!(service.http().record(&record("b")).status, 201);
    service.stop();
}

/// Runs a command as a user that can't write to the folder.
fn run_as_stranger(folder: &Folder, args: &[&str]) -> Ran {
    let program = folder.path().join("program");
    let mut command = std::process::Command::new(program);
    command.args(args).current_dir(folder.path()).env_clear();
    if metadata("/proc/self").expect("Linux has it").uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    Running::start(command, Vec::new()).finish()
}

#[test]
fn a_read_only_file_in_a_read_only_folder_can_be_read() {
    let folder = Folder::new();
    import(&folder, &[]);
    // The folder of the binary may be closed to other users.
    std::fs::copy(binary(), folder.path().join("program")).expect("room for a copy");
    let protect = |name: &str, mode: u32| {
        set_permissions(folder.path().join(name), Permissions::from_mode(mode)).expect("it is ours");
    };
    protect("tallyhouse.db", 0o444);
    for mode in [0o777, 0o555] {
        protect(".", mode);
        for args in READING {
            let ran = run_as_stranger(&folder, args).ok();
            assert!(!ran.stdout.is_empty(), "{args:?}");
        }
    }
    run_as_stranger(&folder, &["import", "one.ndjson"]).exits(1);
    protect(".", 0o755);
}
