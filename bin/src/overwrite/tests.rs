//! Tests of what is taken for the same file.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_file_is_the_same_by_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    fs::write(at("x"), "x").unwrap();
    fs::write(at("other"), "x").unwrap();
    fs::hard_link(at("x"), at("hard")).unwrap();
    symlink("x", at("soft")).unwrap();
    symlink(at("soft"), at("sub/softer")).unwrap();
    symlink("later", at("dangling")).unwrap();
    let mut files = FilesRead::default();
    files.add(&at("x"));
    files.add(&at("dangling"));
    files.add(Path::new("/dev/null"));
    for same in ["x", "./x", "sub/../x", "hard", "soft", "sub/softer", "dangling", "later", "sub/../later"] {
        assert!(files.check("-o", &at(same)).is_err(), "{same}");
    }
    for other in ["other", "new", "sub/x", "sub/later", "missing/x"] {
        assert!(files.check("-o", &at(other)).is_ok(), "{other}");
    }
    assert!(files.check("-o", Path::new("/dev/null")).is_ok());
}

#[test]
fn a_database_is_protected_with_its_journals_before_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("real.db", at("t.db")).unwrap();
    let mut files = FilesRead::default();
    files.add_database(&at("t.db"));
    for name in ["t.db", "real.db"] {
        for ending in SQLITE_ENDINGS {
            assert!(files.check("--errors", &at(&format!("{name}{ending}"))).is_err(), "{name}{ending}");
        }
    }
    assert!(files.check("--errors", &at("t.db.csv")).is_ok());
}
