//! Real failures of SQLite, and what each means to the caller.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::*;
use crate::sql::statement::Statement;
use crate::test_support::Database;

/// Runs statements that must fail, and checks what the caller is told.
#[track_caller]
fn check(db: &mut SqliteConnection, sql: &str, expected: PortErrorKind) {
    let error = db.batch_execute(sql).unwrap_err();
    let error = StoreError::from(error);
    assert_eq!(error.kind(), expected, "{error:?}");
}

#[test]
fn what_breaks_a_rule_of_the_tables_is_refused() {
    let database = Database::new();
    let db = &mut database.connection();
    let insert = |record_id: &str, record_type: &str, sequence: &str| {
        format!(
            "INSERT INTO records VALUES (NULL, {record_id}, 0, 's', 'd', '{record_type}', '1', 'u', '', {sequence}, 0, \
             NULL, NULL, NULL)"
        )
    };
    db.batch_execute(&insert("'a'", "positive", "1")).unwrap();
    check(db, &insert("'a'", "positive", "1"), PortErrorKind::Refused);
    check(db, &insert("'b'", "other", "1"), PortErrorKind::Refused);
    check(db, &insert("'b'", "positive", "0"), PortErrorKind::Refused);
    check(db, &insert("'b'", "positive", "'one'"), PortErrorKind::Refused);
    check(db, &insert("NULL", "positive", "1"), PortErrorKind::Refused);
    check(db, &insert("zeroblob(2000000000)", "positive", "1"), PortErrorKind::Refused);
}

#[test]
fn a_lock_a_full_disk_and_a_read_only_file_pass_by() {
    let database = Database::new();
    let (db, other) = (&mut database.connection(), &mut database.connection());
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    check(db, "BEGIN IMMEDIATE", PortErrorKind::Unavailable);
    other.batch_execute("ROLLBACK").unwrap();
    let pages: i64 = Statement::<BigInt, 0>::new("PRAGMA page_count", []).get_result(db).unwrap();
    db.batch_execute(&format!("PRAGMA max_page_count = {pages}")).unwrap();
    check(db, "CREATE TABLE more (x TEXT); INSERT INTO more VALUES ('x')", PortErrorKind::Unavailable);
    db.batch_execute("PRAGMA query_only = ON").unwrap();
    check(db, "DELETE FROM records", PortErrorKind::Unavailable);
}

#[test]
fn a_damaged_file_is_corrupt() {
    let database = Database::new();
    let db = &mut database.connection();
    db.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let roots = "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'records'";
    let roots: Vec<i64> = Statement::<BigInt, 0>::new(roots, []).load(db).unwrap();
    let mut bytes = std::fs::read(database.path()).unwrap();
    // The pages of the schema stay as they are, so that the file can be opened.
    for root in roots {
        let page = usize::try_from(root - 1).unwrap() * 4096;
        bytes[page..page + 4096].fill(0xa5);
    }
    std::fs::write(database.path(), bytes).unwrap();
    check(&mut database.connection(), "SELECT count(*) FROM records", PortErrorKind::Corrupt);
}

#[test]
fn an_error_keeps_its_cause_and_says_what_it_was_for() {
    let unreadable = Unreadable { row: "table records, position 3".to_owned(), what: "value \"x\"".to_owned() };
    let error = StoreError::from(unreadable).into_port("reading records");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (PortErrorKind::Corrupt, "reading records found corrupt data")
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "table records, position 3: value \"x\"");
}
