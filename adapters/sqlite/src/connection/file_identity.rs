//! Detects that a database file was unlinked or replaced, by device and inode.
//!
//! SQLite goes on writing to a file that was unlinked or replaced, and to its write-ahead log. A commit there is lost
//! when the process ends. So device and inode are compared before and after each commit, and before each read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sql::error::{SqliteError, SqliteProblem};

/// Device and inode of a file; `None` if it does not exist.
type FileId = Option<(u64, u64)>;

/// The files of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ids {
    database: FileId,
    log: FileId,
    shared_memory: FileId,
}

/// The files that the connections of this process have opened.
pub(crate) struct DatabaseFiles {
    database: PathBuf,
    log: PathBuf,
    shared_memory: PathBuf,
    opened: Mutex<Opened>,
}

#[derive(Default)]
struct Opened {
    ids: Option<Ids>,
    /// How often other files were opened. Connections of an earlier generation must be closed.
    generation: u64,
}

impl DatabaseFiles {
    pub(crate) fn at(path: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = OsString::from(path);
            name.push(suffix);
            PathBuf::from(name)
        };
        let (log, shared_memory) = (beside("-wal"), beside("-shm"));
        Self { database: path.to_owned(), log, shared_memory, opened: Mutex::default() }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        // Set as a whole, so a panic leaves nothing half-written.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Ids {
        Ids { database: id(&self.database), log: id(&self.log), shared_memory: id(&self.shared_memory) }
    }

    /// Returns the generation of the files that are open.
    pub(crate) fn generation(&self) -> u64 {
        self.opened().generation
    }

    /// Opens the writer's connection, and remembers the files that it has opened.
    ///
    /// # Errors
    /// The connection can't be opened, or the file was replaced meanwhile, so that it is unknown which file was opened.
    pub(crate) fn open<T>(&self, open: impl FnOnce() -> Result<T, SqliteError>) -> Result<T, SqliteError> {
        let before = id(&self.database);
        let connection = open()?;
        let current = self.current();
        if before.is_some() && before != current.database {
            return Err(SqliteError::new(&self.database, SqliteProblem::Replaced));
        }
        let mut opened = self.opened();
        if opened.ids.replace(current) != Some(current) {
            opened.generation += 1;
        }
        Ok(connection)
    }

    /// Forgets the files, because the writer's connection was closed: SQLite removes the log with the last connection. Until
    /// a writer has opened the files again, no check fails.
    pub(crate) fn forget(&self) {
        self.opened().ids = None;
    }

    /// Checks that the files are those that were opened.
    ///
    /// # Errors
    /// A file is missing or was replaced. The open connections stay as they are: a file may be put back, and at the end
    /// of the process SQLite saves data that is only in the log. See also [`DatabaseFiles::may_open_anew`].
    pub(crate) fn check(&self) -> Result<(), SqliteError> {
        let Some(ids) = self.opened().ids else { return Ok(()) };
        let current = self.current();
        let problem = match current.database {
            _ if current == ids => return Ok(()),
            None => SqliteProblem::Gone,
            database if database == ids.database => SqliteProblem::LogGone,
            Some(_) => SqliteProblem::Replaced,
        };
        Err(SqliteError::new(&self.database, problem))
    }

    /// Says whether the database was replaced as a whole, so that new connections may open it: no log of the old
    /// database lies beside it, which SQLite would apply to the new one.
    pub(crate) fn may_open_anew(&self) -> bool {
        let (opened, current) = (self.opened().ids, self.current());
        opened.is_some_and(|ids| {
            current.database.is_some()
                && current.database != ids.database
                && (current.log.is_none() || current.log != ids.log)
        })
    }
}

#[cfg(unix)]
fn id(path: &Path) -> FileId {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Without inodes only a missing file is noticed.
#[cfg(not(unix))]
fn id(path: &Path) -> FileId {
    path.exists().then_some((0, 0))
}

#[cfg(test)]
mod tests;
