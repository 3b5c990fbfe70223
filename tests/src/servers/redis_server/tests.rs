//! The test servers of Redis leave nothing behind.

use super::*;

fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[test]
fn a_durable_server_keeps_its_port_and_its_data_when_it_is_killed() {
    let mut server = RedisServer::start_durable().unwrap();
    let port = server.port();
    assert_eq!(server.cli(&["SET", "key", "value"]).unwrap(), "OK");
    server.kill().unwrap();
    server.cli(&["GET", "key"]).unwrap_err();
    server.restart().unwrap();
    assert_eq!((server.port(), server.cli(&["GET", "key"]).unwrap()), (port, "value".to_owned()));
    server.stop().unwrap();
    server.restart().unwrap();
    assert_eq!(server.cli(&["GET", "key"]).unwrap(), "value");
}

#[test]
fn a_dropped_server_leaves_nothing_behind_not_even_a_frozen_one() {
    let server = RedisServer::start().unwrap();
    let (dir, pid) = (server.dir().to_owned(), server.process.as_ref().unwrap().id());
    server.freeze().unwrap();
    assert!(is_running(pid) && dir.exists());
    let panicked = std::panic::catch_unwind(move || {
        let _server = server;
        std::panic::resume_unwind(Box::new("as a failed test does"));
    });
    assert!(panicked.is_err());
    assert!(!is_running(pid) && !dir.exists());
}
