//! Connections: what a writer and a reader are set to.

use std::fs;

use diesel::sql_types::BigInt;

use super::*;
use crate::repository::SqliteRepository;
use crate::test_support::Database;

fn number(db: &mut SqliteConnection, pragma: &'static str) -> i64 {
    Statement::<BigInt, 0>::new(pragma, []).get_result(db).unwrap()
}

#[test]
fn the_writer_syncs_a_write_ahead_log_at_every_commit() {
    let database = Database::new();
    let db = &mut open_writer(&database.settings()).unwrap();
    let mode: String = Statement::<Text, 0>::new("PRAGMA journal_mode", []).get_result(db).unwrap();
    assert_eq!(mode, "wal");
    // 2 is FULL: https://www.sqlite.org/pragma.html#pragma_synchronous
    assert_eq!(number(db, "PRAGMA synchronous"), 2);
    assert_eq!(number(db, "PRAGMA busy_timeout"), 300);
    assert_eq!(number(db, "PRAGMA wal_autocheckpoint"), i64::from(CHECKPOINT_PAGES));
}

#[test]
fn a_reader_can_not_write() {
    let database = Database::new();
    let db = &mut open_reader(&database.settings()).unwrap();
    let error = db.batch_execute("DELETE FROM records").unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
}

#[test]
fn a_connection_is_not_opened_anew_on_a_file_that_is_gone() {
    let database = Database::new();
    fs::remove_file(database.path()).unwrap();
    let error = open_reader(&database.settings()).map(drop).unwrap_err();
    assert_eq!(*error.problem(), SqliteProblem::Gone);
    assert!(!database.path().exists());
}

#[test]
fn a_new_file_is_opened_by_many_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let settings = SqliteSettings::at(folder.path().join("new.db"));
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| open_writer(&settings).map(drop))).collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
    }
}

/// Opens a path, and returns the problem and the line that is shown.
async fn refusal(path: std::path::PathBuf) -> (SqliteProblem, String) {
    let clock = Database::new().clock;
    let error = SqliteRepository::open(SqliteSettings::at(path), clock).await.map(drop).unwrap_err();
    (error.problem().clone(), error.to_string())
}

#[tokio::test]
async fn what_can_not_be_opened_is_refused_in_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.txt");
    fs::write(&text, "no database ".repeat(500)).unwrap();
    let cases = [
        (folder.path().join("none/of/these.db"), SqliteProblem::CannotOpen),
        (folder.path().to_owned(), SqliteProblem::CannotOpen),
        (text, SqliteProblem::NotADatabase),
    ];
    for (path, expected) in cases {
        let (problem, line) = refusal(path.clone()).await;
        assert_eq!(problem, expected, "{line}");
        assert!(line.contains(path.to_str().unwrap()) && line.contains("; ") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn what_may_only_be_read_is_refused_at_once() {
    let database = Database::new();
    // Root may write to any file, so that a connection which may not stands for one that may not be written to.
    let error = check_writable(&mut open_reader(&database.settings()).unwrap(), &database.path()).unwrap_err();
    assert_eq!(*error.problem(), SqliteProblem::ReadOnly, "{error:?}");
    check_writable(&mut database.connection(), &database.path()).unwrap();
}

#[test]
fn names_that_mean_something_to_sqlite_are_plain_files_here() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["file:x.db?mode=memory", "a?b#c%41.db", "sqlite:x.db", ":memory:"] {
        let path = folder.path().join(name);
        open_writer(&SqliteSettings::at(&path)).unwrap();
        assert!(path.is_file(), "{name}");
    }
}
