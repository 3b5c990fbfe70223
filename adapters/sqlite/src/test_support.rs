//! Test support: a database in a folder of its own, and access to it that bypasses the repository.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tallyhouse_core::ports::{Batch, Owner, RecordRepository};
use tallyhouse_core::{Arrival, Record, Rule, RuleBook, RuleDraft, RuleSet, Timestamp};
use tallyhouse_testing::TestClock;
use tallyhouse_testing::generate::{Generator, record};

use diesel::connection::SimpleConnection;
use diesel::debug_query;
use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::sqlite::Sqlite;
use tempfile::TempDir;

use crate::connection::migrate::migrate;
use crate::connection::open::open_writer;
use crate::connection::settings::SqliteSettings;
use crate::repository::SqliteRepository;

/// A migrated database that is gone when the test ends.
pub(crate) struct Database {
    folder: TempDir,
    pub(crate) clock: Arc<TestClock>,
}

impl Database {
    pub(crate) fn new() -> Self {
        let database = Self { folder: tempfile::tempdir().unwrap(), clock: Arc::default() };
        let settings = database.settings();
        migrate(&mut open_writer(&settings).unwrap(), &settings.path).unwrap();
        database
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("tallyhouse.db")
    }

    pub(crate) fn settings(&self) -> SqliteSettings {
        SqliteSettings { busy_timeout: Duration::from_millis(300), ..SqliteSettings::at(self.path()) }
    }

    pub(crate) async fn repository(&self) -> SqliteRepository {
        // As other processes have it: with room for their turns.
        self.repository_with(SqliteSettings::at(self.path())).await
    }

    pub(crate) async fn repository_with(&self, settings: SqliteSettings) -> SqliteRepository {
        SqliteRepository::open(settings, Arc::clone(&self.clock) as _).await.unwrap()
    }

    /// A connection that bypasses the repository.
    pub(crate) fn connection(&self) -> SqliteConnection {
        open_writer(&self.settings()).unwrap()
    }

    /// Runs statements that damage the database, bypassing the repository.
    pub(crate) fn spoil(&self, sql: &str) {
        let mut db = self.connection();
        db.batch_execute("PRAGMA ignore_check_constraints = ON").unwrap();
        db.batch_execute(sql).unwrap();
    }
}

pub(crate) fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

pub(crate) fn batch(records: impl IntoIterator<Item = Record>) -> Batch {
    Batch {
        arrivals: records.into_iter().map(Arrival::from).collect(),
        rules: Arc::default(),
        now: now(),
        owner: Some(Owner::new("me")),
        published: Vec::new(),
    }
}

/// A rule that some of the generated records meet.
pub(crate) fn a_rule() -> Arc<RuleBook> {
    let draft = RuleDraft {
        name: "high".to_owned(),
        threshold: "100".to_owned(),
        destination_id: Some("destination-7".to_owned()),
        ..RuleDraft::default()
    };
    Arc::new(RuleSet::new([Rule::new(draft).unwrap()]).unwrap().into())
}

pub(crate) fn simple(id: &str) -> Record {
    record(id, "D", "R", "1", "EUR")
}

pub(crate) async fn commit(repository: &SqliteRepository, records: impl IntoIterator<Item = Record>) {
    let outcomes = repository.commit(batch(records)).await.unwrap().outcomes;
    assert!(outcomes.iter().all(|outcome| outcome.name() == "processed"));
}

/// Commits random records with some alerts among them.
pub(crate) async fn fill(repository: &SqliteRepository, count: usize) {
    let mut generator = Generator::new(7).over(40, 4);
    let records = generator.records("r", count);
    for some in records.chunks(1_000) {
        repository.commit(Batch { rules: a_rule(), ..batch(some.to_vec()) }).await.unwrap();
    }
}

#[derive(diesel::QueryableByName)]
struct Step {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

/// Returns SQLite's plan of a query in one line.
pub(crate) fn plan(db: &mut SqliteConnection, query: &impl QueryFragment<Sqlite>) -> String {
    let sql = format!("EXPLAIN QUERY PLAN {}", debug_query::<Sqlite, _>(query));
    let steps: Vec<Step> = diesel::sql_query(sql).load(db).unwrap();
    steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join(" + ")
}
