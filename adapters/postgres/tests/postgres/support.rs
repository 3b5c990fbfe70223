//! A database for each test, and records to put into it.

use std::sync::Arc;
use std::time::Duration;

use diesel::Connection;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use tallyhouse_core::ports::{Batch, Committed, RecordRepository};
use tallyhouse_core::{Arrival, Record, RuleBook, Timestamp};
use tallyhouse_postgres::{PostgresRepository, PostgresSettings};
use tallyhouse_testing::{Generator, generate};
use tallyhouse_tests::servers::postgres::PostgresServer;
use tokio::sync::OnceCell;

/// Returns the URL of a new database with the schema in it, on the server that all tests share.
pub(crate) async fn database() -> String {
    static MIGRATED: OnceCell<String> = OnceCell::const_new();
    let template = MIGRATED
        .get_or_init(|| async {
            let url = PostgresServer::shared().database().unwrap();
            repository(&url).migrate().await.unwrap();
            url.rsplit('/').next().unwrap().to_owned()
        })
        .await;
    PostgresServer::shared().database_like(template).unwrap()
}

/// Returns a repository on a database.
pub(crate) fn repository(url: &str) -> PostgresRepository {
    PostgresRepository::new(settings(url))
}

/// Settings with a short wait for a connection.
pub(crate) fn settings(url: &str) -> PostgresSettings {
    PostgresSettings { url: url.to_owned(), acquire_timeout: Duration::from_secs(2), ..PostgresSettings::default() }
}

/// Returns a repository on a new database.
pub(crate) async fn fresh() -> PostgresRepository {
    repository(&database().await)
}

/// Returns a connection beside those of the repository.
pub(crate) fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

pub(crate) fn record(id: &str, destination: &str, reference: &str) -> Record {
    generate::record(id, destination, reference, "12.50", "EUR")
}

pub(crate) fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
    let arrivals: Vec<Arrival> = records.into_iter().map(Arrival::from).collect();
    Batch {
        arrivals: arrivals.into(),
        rules: Arc::new(RuleBook::default()),
        now: now(),
        owner: None,
        published: Vec::new(),
    }
}

/// Makes `count` records with ids of their own, over `keys` keys.
pub(crate) fn records(prefix: &str, count: u64, keys: u64) -> Vec<Record> {
    let mut generator = Generator::new(count + keys).over(keys, 1);
    (0..count).map(|n| generator.record(&format!("{prefix}-{n:08}"))).collect()
}

pub(crate) async fn commit(repository: &PostgresRepository, records: impl IntoIterator<Item = Record>) -> Committed {
    repository.commit(batch(records)).await.unwrap()
}

/// Makes the next commits of a repository take locks, as they do after another instance has written its keys. Leaves two
/// records behind.
pub(crate) async fn make_it_lock(repository: &PostgresRepository, url: &str) {
    commit(repository, [record("shared-1", "shared", "")]).await;
    let foreign =
        "UPDATE summaries SET summary = '[1,0,0,[[\"EUR\",1,\"0.01\",0,\"0\"]]]' WHERE destination_id = 'shared'";
    connect(url).batch_execute(foreign).unwrap();
    commit(repository, [record("shared-2", "shared", "")]).await;
}
