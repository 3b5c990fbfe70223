//! What can go wrong, and what the caller can do about it.

use std::path::PathBuf;

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tallyhouse_core::ports::{PortError, PortErrorKind};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The database can't be opened or brought up to date. `Display` is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("the database {}: {problem}", .path.display())]
pub struct SqliteError {
    path: PathBuf,
    problem: SqliteProblem,
    source: Option<Source>,
}

/// Why a database can't be opened or brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqliteProblem {
    /// The file can be neither opened nor made.
    #[error("can't be opened; check that its folder exists, and that it is a file this user may write to")]
    CannotOpen,
    /// The file was there before, and is no more.
    #[error("is gone; put the file back, or restart to begin with an empty one")]
    Gone,
    /// The file may be read only.
    #[error("can't be written to; check its owner and permissions, its folder's, and how the disk is mounted")]
    ReadOnly,
    /// The file is something else.
    #[error("is not an SQLite database; name another file")]
    NotADatabase,
    /// The file is damaged.
    #[error("is damaged; restore it from a backup")]
    Damaged,
    /// Write-ahead logging is needed, and refused by file systems that are shared between machines.
    #[error("can't use a write-ahead log but only the journal mode {0:?}; put it on a local disk")]
    NoWriteAheadLog(String),
    /// Another process holds the write lock.
    #[error("stays locked by another process; end that, or try again later")]
    Locked,
    /// The tables are missing or of an earlier version.
    #[error("has no tables of this version yet; run `tallyhouse migrate`")]
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

    /// Finds out what an error on opening or migrating means.
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

    /// Returns what to branch on.
    #[must_use]
    pub fn problem(&self) -> &SqliteProblem {
        &self.problem
    }
}

/// A stored row can't be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(crate) struct Unreadable {
    /// Which row, in words.
    pub(crate) place: String,
    /// What is wrong with it.
    pub(crate) what: String,
}

/// Why a piece of work on a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// SQLite or Diesel says no.
    #[error(transparent)]
    Database(#[from] DieselError),
    /// A row makes no sense.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// There is no connection to be had.
    #[error(transparent)]
    Connection(#[from] SqliteError),
    /// The pool gave no connection in time.
    #[error(transparent)]
    Pool(#[from] r2d2::Error),
    /// A predecessor of the batch has to be committed first. Only within [`crate::commit`].
    #[error("a predecessor is not committed yet")]
    OutOfOrder,
    /// Every connection is busy.
    #[error("every connection is busy")]
    Busy,
    /// The work was begun and never ended.
    #[error("the work on the database broke off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl Failure {
    /// Says what the caller can do about it: the one place that knows.
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::Database(error) => kind_of(error),
            Self::Unreadable(_) => PortErrorKind::Corrupt,
            Self::Connection(error) => match error.problem {
                SqliteProblem::NotADatabase | SqliteProblem::Damaged => PortErrorKind::Corrupt,
                _ => PortErrorKind::Unavailable,
            },
            Self::Pool(_) | Self::Busy => PortErrorKind::Unavailable,
            Self::OutOfOrder => PortErrorKind::Misuse,
            // A panic is a bug; a runtime that ends is not.
            Self::BrokenOff(error) if error.is_panic() => PortErrorKind::Misuse,
            Self::BrokenOff(_) => PortErrorKind::Unavailable,
        }
    }

    pub(crate) fn into_port(self, what: &'static str) -> PortError {
        PortError::new(self.kind(), what, self)
    }
}

/// Diesel shows no result code, only the text that SQLite has for it; those texts are never translated.
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

/// What SQLite's texts say (`sqlite3ErrStr` in its `main.c`, and the messages of constraints).
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
