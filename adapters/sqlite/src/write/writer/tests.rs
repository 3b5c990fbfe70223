//! The writer: after failures, after panics, beside other processes.

use std::time::Duration;
use tallyhouse_core::ports::{RecordReader as _, RecordRepository};

use diesel::connection::SimpleConnection;

use super::*;
use crate::test_support::{Database, batch, commit, simple};

/// Makes commits fail after the records have been written, in the way that is named: ABORT leaves the transaction open,
/// ROLLBACK ends it behind Diesel's back.
fn break_commits(database: &Database, how: &str) {
    let trigger = "CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT";
    database.spoil(&format!("{trigger} RAISE({how}, 'out of order'); END"));
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_and_the_next_one_succeeds() {
    for how in ["ABORT", "ROLLBACK"] {
        let database = Database::new();
        let repository = database.repository().await;
        commit(&repository, [simple("before")]).await;
        let before = everything(&database);
        break_commits(&database, how);
        let error = repository.commit(batch([simple("a"), simple("b")])).await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("out of order"), "{error:?}");
        assert_eq!(everything(&database), before);
        database.spoil("DROP TRIGGER broken");
        commit(&repository, [simple("a"), simple("b")]).await;
        assert_eq!(repository.head().await.unwrap(), 3);
    }
}

#[tokio::test]
async fn a_panic_leaves_nothing_and_the_next_one_succeeds() {
    let database = Database::new();
    let repository = database.repository().await;
    let files = Arc::new(DatabaseFiles::at(&database.settings().path));
    let connection = files.open(|| open_writer(&database.settings())).unwrap();
    let writer = Writer::new(Arc::new(database.settings()), files, connection);
    let work = |db: &mut SqliteConnection| {
        transaction(db, |db| {
            db.batch_execute("INSERT INTO leases VALUES ('a', 1, 1)")?;
            panic!("a bug")
        })
    };
    let error = writer.run::<()>("testing", work).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Misuse);
    commit(&repository, [simple("a")]).await;
    writer.run("testing", |db| Ok(db.batch_execute("INSERT INTO leases VALUES ('a', 1, 1)")?)).await.unwrap();
}

#[tokio::test]
async fn a_commit_waits_for_another_process_but_not_for_ever() {
    let database = Database::new();
    let repository = database.repository_with(database.settings()).await;
    let mut other = database.connection();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let error = repository.commit(batch([simple("a")])).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable);
    let waiting = batch([simple("a")]);
    let (committed, ()) = tokio::join!(repository.commit(waiting), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        other.batch_execute("ROLLBACK").unwrap();
    });
    assert_eq!(committed.unwrap().outcomes[0].name(), "processed");
}

/// The rows of all tables, as text.
fn everything(database: &Database) -> Vec<String> {
    let sql = "SELECT json_array(position, record_id, sequence) FROM records UNION ALL \
               SELECT json_array(destination_id, reference, summary) FROM summaries UNION ALL \
               SELECT json_array(first, last, owner) FROM outbox";
    crate::sql::statement::Statement::<diesel::sql_types::Text, 0>::new(sql, [])
        .load(&mut database.connection())
        .unwrap()
}
