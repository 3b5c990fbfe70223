//! Migrations: once, by one, or not at all.

use std::sync::Arc;

use super::*;
use crate::connection::open::open_writer;
use crate::connection::settings::SqliteSettings;
use crate::repository::SqliteRepository;
use crate::test_support::Database;

#[tokio::test]
async fn a_new_file_is_migrated_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings::at(folder.path().join("new.db"));
    let repository = SqliteRepository::open(settings, Database::new().clock as _).await.unwrap();
    let error = repository.check_schema().await.unwrap_err();
    assert_eq!(*error.problem(), SqliteProblem::NotMigrated);
    assert!(error.to_string().ends_with("run `tallyhouse migrate`, or call `migrate()`"), "{error}");
    assert_eq!(repository.migrate().await.unwrap(), ["00000000000001"]);
    assert_eq!(repository.migrate().await.unwrap(), Vec::<String>::new());
    repository.check_schema().await.unwrap();
}

#[test]
fn many_at_once_migrate_and_one_of_them_does_it() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let settings = Arc::new(SqliteSettings::at(folder.path().join("new.db")));
        let migrate = || {
            let settings = Arc::clone(&settings);
            std::thread::spawn(move || migrate(&mut open_writer(&settings).unwrap(), &settings.path).unwrap())
        };
        let threads: Vec<_> = (0..6).map(|_| migrate()).collect();
        let mut applied: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        applied.sort();
        assert_eq!(applied, ["00000000000001"]);
    }
}

#[tokio::test]
async fn the_tables_of_a_newer_version_are_left_alone() {
    let database = Database::new();
    database.spoil("INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000000')");
    let repository = database.repository().await;
    let newer = SqliteProblem::Newer("20990101000000".to_owned());
    assert_eq!(*repository.check_schema().await.unwrap_err().problem(), newer);
    assert_eq!(*repository.migrate().await.unwrap_err().problem(), newer);
}

#[test]
fn a_migration_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SqliteSettings::at(folder.path().join("new.db"));
    let db = &mut open_writer(&settings).unwrap();
    // In the way of the last table of the first migration.
    diesel::connection::SimpleConnection::batch_execute(db, "CREATE TABLE leases (x TEXT)").unwrap();
    migrate(db, &settings.path).unwrap_err();
    let tables: i64 = Statement::<BigInt, 0>::new("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [])
        .get_result(db)
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_migration_can_be_undone() {
    let database = Database::new();
    let db = &mut database.connection();
    db.revert_all_migrations(MIGRATIONS).unwrap();
    let left: Vec<String> =
        Statement::<Text, 0>::new("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", [])
            .load(db)
            .unwrap();
    assert_eq!(left, ["__diesel_schema_migrations"]);
}
