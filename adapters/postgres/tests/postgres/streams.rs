//! Streamed answers: one snapshot, cancelled when dropped, and never a short answer that looks complete.

use std::time::{Duration, Instant};
use tallyhouse_core::ports::{GroupPart, PortErrorKind, RecordReader as _};
use tallyhouse_core::{GroupQuery, RecordId};

use diesel::connection::SimpleConnection;
use futures::StreamExt;
use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::support::{commit, connect, database, record, records, settings};

fn everything() -> GroupQuery {
    GroupQuery { records: true, ..GroupQuery::default() }
}

/// Returns a repository with one connection for streams, and the name of its database.
async fn one_stream() -> (PostgresRepository, String, String) {
    let url = database().await;
    let repository = PostgresRepository::new(PostgresSettings { streams: 1, ..settings(&url) });
    let name = url.rsplit('/').next().unwrap().to_owned();
    (repository, url, name)
}

/// Waits until so many processes of the database satisfy a condition.
async fn await_backends(name: &str, condition: &str, expected: &str) {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'tallyhouse' AND {condition}"
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    while PostgresServer::shared().psql(name, &sql).unwrap() != expected {
        assert!(Instant::now() < deadline, "not {expected} processes with {condition}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_early_frees_the_only_connection_at_once() {
    let (repository, _, name) = one_stream().await;
    commit(&repository, records("r", 10_000, 20)).await;
    for _ in 0..10 {
        let mut parts = repository.groups(everything()).await.unwrap().parts;
        assert!(parts.next().await.unwrap().is_ok());
        drop(parts);
    }
    await_backends(&name, "state <> 'idle'", "0").await;
    let mut listed = 0;
    let mut parts = repository.groups(everything()).await.unwrap().parts;
    while let Some(part) = parts.next().await {
        if let GroupPart::Records(records) = part.unwrap() {
            listed += records.len();
        }
    }
    assert_eq!(listed, 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_cancels_a_statement_that_is_still_running() {
    let (repository, url, name) = one_stream().await;
    commit(&repository, records("r", 10, 2)).await;
    // A statement that does not end by itself: it waits for a lock.
    let mut other = connect(&url);
    other.batch_execute("BEGIN; LOCK TABLE records IN ACCESS EXCLUSIVE MODE").unwrap();
    let parts = repository.groups(everything()).await.unwrap().parts;
    await_backends(&name, "wait_event_type = 'Lock'", "1").await;
    drop(parts);
    await_backends(&name, "wait_event_type = 'Lock'", "0").await;

    // Also when it is left before it has begun to answer.
    let paged = GroupQuery { limit: Some(1), ..everything() };
    let asking = repository.clone();
    let task = tokio::spawn(async move { asking.groups(paged).await.map(drop) });
    await_backends(&name, "wait_event_type = 'Lock'", "1").await;
    task.abort();
    await_backends(&name, "wait_event_type = 'Lock'", "0").await;
    other.batch_execute("ROLLBACK").unwrap();
    assert!(repository.groups(everything()).await.unwrap().parts.all(|part| async move { part.is_ok() }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_stream_ends_with_an_error() {
    let (repository, _, name) = one_stream().await;
    commit(&repository, records("r", 10_000, 3)).await;
    let mut parts = repository.groups(everything()).await.unwrap().parts;
    assert!(parts.next().await.unwrap().is_ok());
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE 'FETCH%' AND pid <> pg_backend_pid()";
    assert_eq!(PostgresServer::shared().psql(&name, cut).unwrap(), "t");
    let last = loop {
        match parts.next().await {
            Some(Ok(_)) => {}
            last => break last,
        }
    };
    assert_eq!(last.unwrap().unwrap_err().kind(), PortErrorKind::Unavailable);
    assert!(parts.next().await.is_none());
    assert!(repository.groups(everything()).await.unwrap().parts.all(|part| async move { part.is_ok() }).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_holds_up_neither_reads_nor_writes() {
    let (repository, _, name) = one_stream().await;
    commit(&repository, records("r", 10_000, 3)).await;
    let mut parts = repository.groups(everything()).await.unwrap().parts;
    assert!(parts.next().await.unwrap().is_ok());
    // It reads ahead for a little, and then waits for its reader.
    await_backends(&name, "state = 'idle in transaction'", "1").await;

    assert_eq!(commit(&repository, [record("later", "d", "")]).await.outcomes[0].name(), "processed");
    assert!(repository.find(&RecordId::new("later").unwrap()).await.unwrap().is_some());
    let refused = repository.groups(everything()).await.unwrap_err();
    assert_eq!(refused.kind(), PortErrorKind::Unavailable);

    let mut listed = 0;
    while let Some(part) = parts.next().await {
        if let GroupPart::Records(records) = part.unwrap() {
            assert!(records.iter().all(|record| record.record.record_id.as_str() != "later"));
            listed += records.len();
        }
    }
    assert_eq!(listed, 10_000);
}
