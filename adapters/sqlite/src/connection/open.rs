//! Opens connections, and configures them for durability, speed and concurrent processes.

mod read_only;

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::connection::settings::SqliteSettings;
use crate::sql::error::{SqliteError, SqliteProblem};
use crate::sql::statement::Statement;
use crate::sql::sums;

/// Page cache of the writer in KiB: the inner pages of four indexes of some ten million records.
const WRITER_CACHE_KIB: u32 = 64 * 1024;

/// Page cache of one reader in KiB.
const READER_CACHE_KIB: u32 = 8 * 1024;

/// Pages in the write-ahead log before a commit checkpoints it: 32 MB. With SQLite's default of 1,000, nearly every batch
/// of records with random ids did so, at two thirds of the speed.
const CHECKPOINT_PAGES: u32 = 8_000;

/// Size to which the log is truncated after a checkpoint: a long read may have made it grow.
const LOG_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Opens a connection that writes. Creates the file if there is none.
pub(crate) fn open_writer(settings: &SqliteSettings) -> Result<SqliteConnection, SqliteError> {
    let path = &settings.path;
    make(path).map_err(|error| SqliteError::caused(path, SqliteProblem::CannotOpen, error))?;
    let mut db = open(settings)?;
    use_write_ahead_log(&mut db, settings)?;
    // FULL syncs the log at every commit, so that an acknowledged commit survives a power cut.
    let pragmas = format!(
        "PRAGMA synchronous = FULL;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {LOG_BYTES_MAX};"
    );
    db.batch_execute(&pragmas).map_err(|error| SqliteError::of(path, error))?;
    sums::register(&mut db).map_err(|error| SqliteError::of(path, error))?;
    Ok(db)
}

/// Makes the file, if there is none, for its owner alone. SQLite gives its journals the rights of the database
/// (`findCreateFileMode` in its `os_unix.c`).
///
/// A file that is there is not opened: closing it would release the locks that SQLite holds on it in this process.
fn make(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Opens a connection that can't write, on a file that a writer has opened before.
pub(crate) fn open_reader(settings: &SqliteSettings) -> Result<SqliteConnection, SqliteError> {
    let mut db = reopen(settings, read_only::open)?;
    let pragmas = format!("PRAGMA query_only = ON; PRAGMA cache_size = -{READER_CACHE_KIB};");
    db.batch_execute(&pragmas).map_err(|error| SqliteError::of(&settings.path, error))?;
    Ok(db)
}

/// Opens a connection only if the file exists: an empty file in its place would look like a loss of all records.
pub(crate) fn reopen(
    settings: &SqliteSettings,
    open: impl FnOnce(&SqliteSettings) -> Result<SqliteConnection, SqliteError>,
) -> Result<SqliteConnection, SqliteError> {
    if !settings.path.exists() {
        return Err(SqliteError::new(&settings.path, SqliteProblem::Gone));
    }
    open(settings)
}

/// Checks that the database can be written to. SQLite opens a read-only file without an error.
pub(crate) fn check_writable(db: &mut SqliteConnection, path: &Path) -> Result<(), SqliteError> {
    db.batch_execute("BEGIN IMMEDIATE; ROLLBACK;").map_err(|error| SqliteError::of(path, error))
}

fn open(settings: &SqliteSettings) -> Result<SqliteConnection, SqliteError> {
    establish(settings, str::to_owned)
}

/// Opens a connection by a name that is made of the absolute path.
fn establish(settings: &SqliteSettings, name: impl Fn(&str) -> String) -> Result<SqliteConnection, SqliteError> {
    let path = &settings.path;
    // SQLite gives names such as ":memory:", "file:…" and "" a meaning of their own. An absolute path has none.
    let absolute =
        std::path::absolute(path).map_err(|error| SqliteError::caused(path, SqliteProblem::CannotOpen, error))?;
    let absolute = absolute
        .to_str()
        .ok_or_else(|| SqliteError::caused(path, SqliteProblem::CannotOpen, "the path is not UTF-8"))?;
    let mut db = SqliteConnection::establish(&name(absolute))
        .map_err(|error| SqliteError::caused(path, SqliteProblem::CannotOpen, error))?;
    // First of all, since the next statement may meet a lock.
    let busy_timeout = format!("PRAGMA busy_timeout = {};", settings.busy_timeout.as_millis());
    db.batch_execute(&busy_timeout).map_err(|error| SqliteError::of(path, error))?;
    Ok(db)
}

/// Switches to a write-ahead log. If two processes do so at once on a new file, SQLite reports a lock without waiting,
/// since they would deadlock. So the busy timeout is implemented here.
fn use_write_ahead_log(db: &mut SqliteConnection, settings: &SqliteSettings) -> Result<(), SqliteError> {
    let begun = Instant::now();
    loop {
        let mode: QueryResult<String> = Statement::<Text, 0>::new("PRAGMA journal_mode = WAL", []).get_result(db);
        let error = match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(SqliteError::new(&settings.path, SqliteProblem::NoWriteAheadLog(mode))),
            Err(error) => SqliteError::of(&settings.path, error),
        };
        if *error.problem() != SqliteProblem::Locked || begun.elapsed() > settings.busy_timeout {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests;
