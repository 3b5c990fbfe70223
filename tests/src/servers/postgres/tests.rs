//! The test servers of Postgres leave nothing behind.

use super::*;

fn pid_of(server: &PostgresServer) -> u32 {
    server.postmaster.as_ref().expect("the server runs").id()
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder() {
    let server = PostgresServer::start().unwrap();
    let (pid, dir) = (pid_of(&server), server.dir.path().to_owned());
    let backends = server.backends();
    assert!(exists(pid) && dir.exists() && !backends.is_empty());
    drop(server);
    assert!(!exists(pid) && !dir.exists());
    assert!(backends.into_iter().all(|pid| !exists(pid)));
}

#[test]
fn a_frozen_server_is_removed_as_well() {
    let server = PostgresServer::start().unwrap();
    let (pid, dir) = (pid_of(&server), server.dir.path().to_owned());
    server.freeze();
    drop(server);
    assert!(!exists(pid) && !dir.exists());
}

#[test]
fn a_panicking_test_leaves_nothing_behind() {
    let (send, receive) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let server = PostgresServer::start().unwrap();
        send.send((pid_of(&server), server.dir.path().to_owned())).unwrap();
        panic!("as a failed assertion does");
    });
    let (pid, dir) = receive.recv().unwrap();
    assert!(test.join().is_err());
    assert!(!exists(pid) && !dir.exists());
}

#[test]
fn what_was_committed_is_there_after_stop_kill_and_freeze() {
    let durable = PostgresOptions { fsync: true, ..PostgresOptions::default() };
    let mut server = PostgresServer::start_with(durable).unwrap();
    server.database().unwrap();
    server.psql("postgres", "CREATE TABLE kept AS SELECT 7 AS n").unwrap();
    let port = server.port();

    server.stop().unwrap();
    assert!(server.psql("postgres", "SELECT 1").is_err());
    server.resume().unwrap();
    server.kill().unwrap();
    assert!(server.psql("postgres", "SELECT 1").is_err());
    server.resume().unwrap();
    server.stop_fast().unwrap();
    server.resume().unwrap();
    server.freeze();
    server.thaw();

    assert_eq!(server.psql("postgres", "SELECT n FROM kept").unwrap(), "7");
    assert_eq!(server.port(), port);
}

#[test]
fn databases_are_separate_and_can_be_copied() {
    let server = PostgresServer::shared();
    let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let first = name(&server.database().unwrap());
    server.psql(&first, "CREATE TABLE only_here (n int)").unwrap();
    let copy = name(&server.database_like(&first).unwrap());
    let other = name(&server.database().unwrap());
    assert!(server.psql(&copy, "SELECT * FROM only_here").is_ok());
    assert!(server.psql(&other, "SELECT * FROM only_here").is_err());
}
