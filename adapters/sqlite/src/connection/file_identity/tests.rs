//! Which files a connection has opened must be known.

use super::*;

#[test]
#[cfg(unix)]
fn a_file_that_is_replaced_while_it_is_opened_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let files = DatabaseFiles::at(&path);
    // A file that the connection makes itself is its own.
    let write = || {
        std::fs::write(&path, "new").unwrap();
        Ok(())
    };
    files.open(write).unwrap();
    let replace = || {
        let other = folder.path().join("b.db");
        std::fs::write(&other, "other").unwrap();
        std::fs::rename(&other, &path).unwrap();
        Ok(())
    };
    let error = files.open(replace).unwrap_err();
    assert_eq!(error.to_string(), SqliteError::new(&path, SqliteProblem::Replaced).to_string());
    let generation = files.generation();
    files.open(|| Ok(())).unwrap();
    assert_eq!(files.generation(), generation + 1, "the next attempt takes the file that is there");
}
