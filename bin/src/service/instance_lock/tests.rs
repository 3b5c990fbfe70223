//! Tests of the lock of a service on its file of SQLite.

use super::*;

#[test]
fn the_second_is_told_of_the_first_until_that_one_ends() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("a.db");
    fs::write(&database, "").unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&database, &link).unwrap();
    let first = try_acquire(&database, "http://127.0.0.1:1").unwrap().unwrap();
    let expect = format!("process {} at http://127.0.0.1:1", std::process::id());
    for name in [&database, &link] {
        assert_eq!(try_acquire(name, "http://127.0.0.1:2").unwrap().unwrap_err(), expect);
    }
    drop(first);
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(names().len(), 2, "{:?}", names());
    // The file of a process that was killed is taken over.
    fs::write(folder.path().join("a.db-serve"), "process 1 at http://elsewhere, and much more").unwrap();
    let next = try_acquire(&link, "http://127.0.0.1:3").unwrap().unwrap();
    assert!(try_acquire(&database, "").unwrap().unwrap_err().ends_with(" at http://127.0.0.1:3"));
    drop(next);
}

/// A second database may have the name of the lock, and a link may lead to any file.
#[test]
fn a_file_that_is_no_lock_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (database, other) = (folder.path().join("a"), folder.path().join("a-serve"));
    fs::write(&database, "").unwrap();
    fs::write(&other, "SQLite format 3").unwrap();
    try_acquire(&database, "").unwrap_err();
    assert_eq!(fs::read_to_string(&other).unwrap(), "SQLite format 3");
    let precious = folder.path().join("precious");
    fs::rename(&other, &precious).unwrap();
    std::os::unix::fs::symlink(&precious, &other).unwrap();
    try_acquire(&database, "").unwrap_err();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "SQLite format 3");
    fs::remove_file(&other).unwrap();
    fs::create_dir(&other).unwrap();
    try_acquire(&database, "").unwrap_err();
}

#[test]
fn only_a_named_file_has_a_lock() {
    for database in [DatabaseUrl::Temporary, DatabaseUrl::Postgres("postgres://h/d".to_owned())] {
        assert!(InstanceLock::acquire(&database, "").is_none());
    }
}
