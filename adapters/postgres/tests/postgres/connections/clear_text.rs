//! A server that refuses TLS and asks for the password in clear text.

use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::plain_password::PlainPasswordServer;
use tallyhouse_tests::servers::postgres::PostgresServer;

const PASSWORD: &str = "hunter2";

async fn sends_password(parameters: &str) -> bool {
    let server = PlainPasswordServer::start().unwrap();
    // This address leads to this machine, and is not known to be its own.
    let url = format!("postgres://u:{PASSWORD}@0.0.0.0:{}/d{parameters}", server.port());
    let settings = PostgresSettings { url, acquire_timeout: std::time::Duration::from_secs(1), ..Default::default() };
    PostgresRepository::new(settings).check_schema().await.unwrap_err();
    server.has_heard(PASSWORD).unwrap()
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
