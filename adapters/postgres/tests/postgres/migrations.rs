//! The schema: migrated once, by the first instance, and checked by every one.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use tallyhouse_core::ports::{PortErrorKind, RecordRepository};
use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_tests::servers::postgres::PostgresServer;

use crate::support::{commit, connect, record, repository, settings};

#[tokio::test(flavor = "multi_thread")]
async fn several_instances_may_migrate_at_once() {
    let url = PostgresServer::shared().database().unwrap();
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let repository = repository(&url);
            tokio::spawn(async move { repository.migrate().await.unwrap() })
        })
        .collect();
    let mut run = Vec::new();
    for task in tasks {
        run.extend(task.await.unwrap());
    }
    let all = run.clone();
    run.sort_unstable();
    run.dedup();
    assert_eq!(run.len(), all.len(), "one of them ran each migration: {all:?}");
    let repository = repository(&url);
    repository.check_schema().await.unwrap();
    commit(&repository, [record("r", "d", "")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_that_never_ends_its_migrations_is_not_waited_for_for_ever() {
    let url = PostgresServer::shared().database().unwrap();
    let migrate_timeout = Duration::from_millis(500);
    let repository = PostgresRepository::new(PostgresSettings { migrate_timeout, ..settings(&url) });
    let mut other = connect(&url);
    // The lock around migrations: "tally".
    other.batch_execute("SELECT pg_advisory_lock(499850701945)").unwrap();
    let began = Instant::now();
    assert_eq!(repository.migrate().await.unwrap_err().kind(), PortErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(other);
    PostgresRepository::new(settings(&url)).migrate().await.unwrap();
    repository.check_schema().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_missing_or_newer_is_named() {
    let url = PostgresServer::shared().database().unwrap();
    let repository = repository(&url);
    assert_eq!(repository.check_schema().await.unwrap_err().kind(), PortErrorKind::Misuse);
    repository.migrate().await.unwrap();
    repository.check_schema().await.unwrap();
    assert_eq!(repository.migrate().await.unwrap(), Vec::<String>::new());

    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('99999999999999')";
    PostgresServer::shared().psql(url.rsplit('/').next().unwrap(), newer).unwrap();
    for error in [repository.check_schema().await.unwrap_err(), repository.migrate().await.unwrap_err()] {
        assert_eq!(error.kind(), PortErrorKind::Misuse);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("99999999999999"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let server = PostgresServer::shared();
    server.psql("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").unwrap();
    let repository = repository(&server.url("latin"));
    for error in [repository.migrate().await.unwrap_err(), repository.check_schema().await.unwrap_err()] {
        assert_eq!(error.kind(), PortErrorKind::Misuse);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_migrations_make_they_remove() {
    let server = PostgresServer::shared();
    let url = server.database().unwrap();
    let name = url.rsplit('/').next().unwrap();
    let repository = repository(&url);
    repository.migrate().await.unwrap();
    let down = include_str!("../../../../migrations/postgres/00000000000001_tallyhouse/down.sql");
    server.psql(name, down).unwrap();
    let left = "SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                AND relname NOT LIKE '\\_\\_diesel%'";
    assert_eq!(server.psql(name, left).unwrap(), "");
    let functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prolang <> 12";
    assert_eq!(server.psql(name, functions).unwrap(), "0");
    assert_eq!(repository.ping().await.map_err(|error| error.kind()), Ok(()));
}
