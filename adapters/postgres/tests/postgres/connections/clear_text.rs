//! A server that refuses TLS and asks for the password in clear text.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::PostgresServer;

const PASSWORD: &str = "hunter2";

/// Answers like a server without TLS that wants a plain password (PostgreSQL documentation, "Message Flow"). Returns all
/// that the client has sent on its connections.
fn listen(server: TcpListener) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut heard = Vec::new();
        for stream in server.incoming() {
            let stream = stream.unwrap();
            if serve(stream, &mut heard).is_none() {
                return heard;
            }
        }
        heard
    })
}

/// Serves a connection; `None` for the one that ends the server.
fn serve(mut stream: TcpStream, heard: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap_or_default();
        let part = &part[..read];
        if part == b"stop" {
            return None;
        }
        if part.is_empty() {
            return Some(());
        }
        heard.extend_from_slice(part);
        // A request for TLS or GSSAPI is eight bytes; a start is longer.
        let answer: &[u8] = if read == 8 { b"N" } else { b"R\0\0\0\x08\0\0\0\x03" };
        if stream.write_all(answer).is_err() {
            return Some(());
        }
    }
}

async fn sends_password(parameters: &str) -> bool {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let heard = listen(server);
    // This address leads to this machine, and is not known to be its own.
    let url = format!("postgres://u:{PASSWORD}@0.0.0.0:{port}/d{parameters}");
    let settings = PostgresSettings { url, acquire_timeout: std::time::Duration::from_secs(1), ..Default::default() };
    PostgresRepository::new(settings).check_schema().await.unwrap_err();
    TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b"stop").unwrap();
    let heard = heard.join().unwrap();
    assert!(!heard.is_empty(), "the client has begun");
    heard.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_sent_in_clear_text_only_to_who_allows_it() {
    assert!(!sends_password("").await);
    assert!(!sends_password("?sslmode=verify-full").await);
    assert!(!sends_password("?sslmode=disable&require_auth=scram-sha-256").await);
    assert!(sends_password("?sslmode=disable").await, "without the guard it would be sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_no_plain_password_is_used_as_before() {
    let url = PostgresServer::shared().database().unwrap().replace("127.0.0.1", "0.0.0.0");
    let repository = PostgresRepository::new(PostgresSettings { url, ..Default::default() });
    repository.migrate().await.unwrap();
}
