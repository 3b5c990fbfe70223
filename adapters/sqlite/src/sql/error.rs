//! What can go wrong, and what the caller can do about it: [`StoreError::kind`] decides.

use std::path::PathBuf;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tallyhouse_core::ports::{PortError, PortErrorKind};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The database can't be opened or migrated. `Display` is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("the database {}: {problem}", .path.display())]
pub struct SqliteError {
    path: PathBuf,
    problem: SqliteProblem,
    source: Option<Source>,
}

/// Why a database can't be opened or migrated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqliteProblem {
    /// The file can be neither opened nor created.
    #[error("can't be opened; check that its folder exists, and that it is a file this user may write to")]
    CannotOpen,
    /// The file was there before, and is missing now.
    #[error("is gone; put the file back, or restart to begin with an empty one")]
    Gone,
    /// Another file has taken the place of the open one.
    #[error(
        "was replaced while it was open; stop the service, remove the -wal and -shm files of the old one, and restart"
    )]
    Replaced,
    /// The write-ahead log or its index is missing or another one, while the database is open.
    #[error(
        "has lost its -wal or -shm file while it was open; put that back, or restart, which saves what it still can"
    )]
    LogGone,
    /// The file can't be written to.
    #[error("can't be written to; check its owner and permissions, its folder's, and how the disk is mounted")]
    ReadOnly,
    /// The file is no database.
    #[error("is not an SQLite database; name another file")]
    NotADatabase,
    /// The file is damaged.
    #[error("is damaged; restore it from a backup")]
    Damaged,
    /// The file system does not support a write-ahead log, e.g. because machines share it.
    #[error("can't use a write-ahead log but only the journal mode {0:?}; put it on a local disk")]
    NoWriteAheadLog(String),
    /// Another process holds the write lock.
    #[error("stays locked by another process; end that, or try again later")]
    Locked,
    /// The tables are missing or of an earlier version.
    #[error("has no tables of this version yet; run `tallyhouse migrate`, or call `migrate()`")]
    NotMigrated,
    /// The tables are of a later version.
    #[error("was migrated by a newer version of Tallyhouse (to {0}); run that one")]
    Newer(String),
    /// Anything else: see the source.
    #[error("fails; see the cause")]
    Failing,
}

impl SqliteError {
    pub(crate) fn new(path: impl Into<PathBuf>, problem: SqliteProblem) -> Self {
        Self { path: path.into(), problem, source: None }
    }

    pub(crate) fn caused(path: impl Into<PathBuf>, problem: SqliteProblem, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..Self::new(path, problem) }
    }

    /// Classifies an error of opening or migrating.
    pub(crate) fn of(path: impl Into<PathBuf>, error: DieselError) -> Self {
        let problem = match &error {
            DieselError::DatabaseError(_, information) => match Cause::of(information.message()) {
                Cause::NotADatabase => SqliteProblem::NotADatabase,
                Cause::Malformed => SqliteProblem::Damaged,
                Cause::Locked => SqliteProblem::Locked,
                Cause::ReadOnly => SqliteProblem::ReadOnly,
                Cause::CannotOpen => SqliteProblem::CannotOpen,
                Cause::Refused | Cause::Other => SqliteProblem::Failing,
            },
            _ => SqliteProblem::Failing,
        };
        Self::caused(path, problem, error)
    }

    /// Returns the problem to branch on.
    #[must_use]
    pub fn problem(&self) -> &SqliteProblem {
        &self.problem
    }
}

/// A stored row breaks a rule of the core.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{row}: {what}")]
pub(crate) struct Unreadable {
    /// The row, for people.
    pub(crate) row: String,
    /// What is wrong with it.
    pub(crate) what: String,
}

/// Why work on a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite or Diesel returned an error.
    #[error(transparent)]
    Database(#[from] DieselError),
    /// A row can't be decoded.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A connection can't be opened.
    #[error(transparent)]
    Connection(#[from] SqliteError),
    /// The pool has no connection.
    #[error(transparent)]
    Pool(#[from] r2d2::Error),
    /// A predecessor of the batch has to be committed first. Only within [`crate::commit`].
    #[error("a predecessor is not committed yet")]
    OutOfOrder,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandomNumbers(#[source] getrandom::Error),
    /// Every connection is in use.
    #[error("every connection is busy")]
    Busy,
    /// The task panicked, or its runtime ended.
    #[error("the task on the database failed")]
    TaskFailed(#[source] tokio::task::JoinError),
}

impl StoreError {
    /// Says what the caller can do.
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::Database(error) => kind_of(error),
            Self::Unreadable(_) => PortErrorKind::Corrupt,
            Self::Connection(error) => match error.problem {
                SqliteProblem::NotADatabase | SqliteProblem::Damaged => PortErrorKind::Corrupt,
                _ => PortErrorKind::Unavailable,
            },
            Self::Pool(_) | Self::Busy => PortErrorKind::Unavailable,
            Self::OutOfOrder | Self::NoRandomNumbers(_) => PortErrorKind::Misuse,
            // A panic is a bug; a runtime that ends is not.
            Self::TaskFailed(error) if error.is_panic() => PortErrorKind::Misuse,
            Self::TaskFailed(_) => PortErrorKind::Unavailable,
        }
    }

    pub(crate) fn into_port(self, what: &'static str) -> PortError {
        let reason = self.reason();
        PortError::new(self.kind(), what, self).with_reason(reason)
    }

    /// Says why it failed to callers outside: no path and no SQL.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Database(error) => reason_of(error),
            Self::Unreadable(_) => Some("stored data can't be read"),
            Self::Connection(error) => error.problem.reason(),
            Self::Busy => Some("every connection is busy"),
            Self::Pool(_) | Self::OutOfOrder | Self::NoRandomNumbers(_) | Self::TaskFailed(_) => None,
        }
    }
}

impl SqliteProblem {
    /// Names the problem to callers outside.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::CannotOpen => Some("the database file can't be opened"),
            Self::Gone => Some("the database file is gone"),
            Self::Replaced => Some("the database file was replaced"),
            Self::LogGone => Some("the -wal or -shm file of the database is gone or was replaced"),
            Self::ReadOnly => Some("the database file can't be written to"),
            Self::NotADatabase | Self::Damaged => Some("the database file is damaged"),
            Self::NoWriteAheadLog(_) => Some("the file system supports no write-ahead log"),
            Self::Locked => Some("another process keeps the database locked"),
            Self::NotMigrated | Self::Newer(_) => Some("the schema is not the one of this version"),
            Self::Failing => None,
        }
    }
}

fn reason_of(error: &DieselError) -> Option<&'static str> {
    match error {
        DieselError::DatabaseError(_, information) if information.message().contains("disk is full") => {
            Some("the disk is full")
        }
        DieselError::DatabaseError(_, information) if information.message().contains("disk I/O error") => {
            Some("the disk fails")
        }
        DieselError::DatabaseError(_, information) => match Cause::of(information.message()) {
            Cause::Locked => SqliteProblem::Locked.reason(),
            Cause::ReadOnly => SqliteProblem::ReadOnly.reason(),
            Cause::CannotOpen => SqliteProblem::CannotOpen.reason(),
            Cause::NotADatabase | Cause::Malformed => SqliteProblem::Damaged.reason(),
            Cause::Refused => Some("the database refuses the records"),
            Cause::Other => None,
        },
        DieselError::RollbackErrorOnCommit { commit_error, .. } => reason_of(commit_error),
        _ => None,
    }
}

/// Diesel shows no result code, only SQLite's text for it. These texts are never translated.
fn kind_of(error: &DieselError) -> PortErrorKind {
    match error {
        DieselError::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::ForeignKeyViolation => PortErrorKind::Refused,
            _ => match Cause::of(information.message()) {
                Cause::NotADatabase | Cause::Malformed => PortErrorKind::Corrupt,
                Cause::Refused => PortErrorKind::Refused,
                Cause::Locked | Cause::ReadOnly | Cause::CannotOpen | Cause::Other => PortErrorKind::Unavailable,
            },
        },
        DieselError::DeserializationError(_) => PortErrorKind::Corrupt,
        DieselError::RollbackErrorOnCommit { commit_error, .. } => kind_of(commit_error),
        DieselError::InvalidCString(_)
        | DieselError::QueryBuilderError(_)
        | DieselError::SerializationError(_)
        | DieselError::AlreadyInTransaction
        | DieselError::NotInTransaction => PortErrorKind::Misuse,
        _ => PortErrorKind::Unavailable,
    }
}

/// The causes that SQLite's texts name (`sqlite3ErrStr` in its `main.c`, and the messages of constraints).
enum Cause {
    Locked,
    ReadOnly,
    CannotOpen,
    NotADatabase,
    Malformed,
    Refused,
    Other,
}

impl Cause {
    fn of(message: &str) -> Self {
        let says = |text: &str| message.contains(text);
        if says("is locked") {
            Self::Locked
        } else if says("readonly database") {
            Self::ReadOnly
        } else if says("unable to open") {
            Self::CannotOpen
        } else if says("not a database") {
            Self::NotADatabase
        } else if says("malformed") {
            Self::Malformed
        } else if says("too big") || says("constraint failed") || says("cannot store") || says("datatype mismatch") {
            Self::Refused
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests;
