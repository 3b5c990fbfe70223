//! What can go wrong, and what the caller can do about it: [`StoreError::kind`] decides.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tallyhouse_core::ports::{PortError, PortErrorKind};

/// Why a call of the repository failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Postgres or Diesel returned an error.
    #[error("the database failed")]
    Database(#[from] DieselError),
    /// The pool could not make a connection in time.
    #[error("there is no connection")]
    Connection(#[from] r2d2::Error),
    /// A connection outside the pools could not be made.
    #[error("there is no connection")]
    Unreachable(#[source] Box<diesel::ConnectionError>),
    /// A migration failed.
    #[error("a migration failed")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Every connection of the pool is in use.
    #[error("every connection has been in use for too long")]
    PoolBusy,
    /// The server sends neither an answer nor an error.
    #[error("the database does not answer")]
    NoAnswer,
    /// Another transaction inserted one of the record ids under another key. The batch is committed again.
    #[error("other transactions took a record id at the same time, again and again")]
    IdConflict,
    /// The connection was cut during a commit. The batch is committed again on another connection, which finds out the
    /// result.
    #[error("the connection was cut")]
    CommitInterrupted,
    /// The connection was cut before the answer to a COMMIT, and the result can't be found out.
    #[error("the connection was cut before the answer to COMMIT")]
    CommitUnknown(#[source] Box<StoreError>),
    /// The caller dropped the stream.
    #[error("the stream was dropped")]
    StreamDropped,
    /// Stored data breaks a rule of the core.
    #[error("{0}")]
    Corrupt(String),
    /// The caller or this adapter is wrong, or the database is set up wrongly.
    #[error("{0}")]
    Misuse(String),
}

impl StoreError {
    /// Says what the caller can do. Diesel shows no SQLSTATE, and messages may be translated (`lc_messages`). So only the
    /// kinds that Diesel tells apart are branched on. Every other error counts as unavailable: the batch is tried again,
    /// and no record is blamed.
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::Database(error) => kind_of(error),
            Self::Connection(_)
            | Self::Unreachable(_)
            | Self::Migration(_)
            | Self::PoolBusy
            | Self::NoAnswer
            | Self::IdConflict
            | Self::CommitInterrupted
            | Self::CommitUnknown(_)
            | Self::StreamDropped => PortErrorKind::Unavailable,
            Self::Corrupt(_) => PortErrorKind::Corrupt,
            Self::Misuse(_) => PortErrorKind::Misuse,
        }
    }

    /// Says whether the same transaction is likely to succeed if it is tried again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::IdConflict
            | Self::Database(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => true,
            // SQLSTATE 40P01 has no kind of its own. If the message is translated, the caller repeats the batch instead.
            Self::Database(DieselError::DatabaseError(DatabaseErrorKind::Unknown, details)) => {
                details.message() == "deadlock detected"
            }
            _ => false,
        }
    }

    /// Says whether the connection was cut and the work may be repeated on another one: either nothing was committed, or
    /// the repetition finds out.
    pub(crate) fn is_disconnected(&self) -> bool {
        matches!(
            self,
            Self::CommitInterrupted
                | Self::Database(DieselError::DatabaseError(
                    DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                    _
                ))
        )
    }

    /// Says whether the connection may have been cut: while Diesel prepares a statement it reports that as an unknown
    /// error.
    pub(crate) fn may_be_disconnected(&self) -> bool {
        matches!(self, Self::Database(DieselError::DatabaseError(DatabaseErrorKind::Unknown, _)))
    }

    /// Says whether the connection must be closed. Diesel does not notice a cut while it prepares a statement.
    pub(crate) fn breaks_connection(&self) -> bool {
        self.is_disconnected() || matches!(self, Self::CommitUnknown(_))
    }

    /// Turns the error into the port's error. `what` names the operation in the words of the port.
    pub(crate) fn into_port(self, what: &'static str) -> PortError {
        let (kind, reason) = (self.kind(), self.reason());
        let error = match self {
            // The port's error already says what these two would say above their cause.
            Self::Database(error) => PortError::new(kind, what, error),
            Self::Connection(error) => PortError::new(kind, what, error),
            other => PortError::new(kind, what, other),
        };
        error.with_reason(reason)
    }

    /// Says why it failed to callers outside: no address, no SQL, and no words of the server.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Database(error) => reason_of(error),
            Self::CommitUnknown(error) => error.reason(),
            Self::PoolBusy => Some("every connection is busy"),
            Self::Corrupt(_) => Some("stored data can't be read"),
            Self::Connection(_) | Self::Unreachable(_) => Some("there is no connection to the database"),
            Self::NoAnswer => Some("the database does not answer in time"),
            Self::CommitInterrupted => Some("the connection to the database was cut"),
            Self::Migration(_) | Self::IdConflict | Self::StreamDropped | Self::Misuse(_) => None,
        }
    }
}

/// Diesel shows no SQLSTATE. Where the server translates its messages, the reason of an unknown kind stays unknown.
fn reason_of(error: &DieselError) -> Option<&'static str> {
    let DieselError::DatabaseError(kind, information) = error else { return None };
    match kind {
        DatabaseErrorKind::ReadOnlyTransaction => Some("the database is read-only"),
        DatabaseErrorKind::Unknown => {
            let says = |text| information.message().contains(text);
            if says("permission denied") {
                Some("the database refuses the right to write")
            } else if says("No space left on device") {
                Some("the disk of the database is full")
            } else if says("canceling statement due to") {
                Some("the database is too slow, or its tables are locked")
            } else {
                None
            }
        }
        _ if kind_of(error) == PortErrorKind::Refused => Some("the database refuses the records"),
        _ => None,
    }
}

fn kind_of(error: &DieselError) -> PortErrorKind {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::RestrictViolation
            | DatabaseErrorKind::ExclusionViolation,
            _,
        ) => PortErrorKind::Refused,
        DieselError::DeserializationError(_) => PortErrorKind::Corrupt,
        DieselError::SerializationError(_) | DieselError::QueryBuilderError(_) | DieselError::InvalidCString(_) => {
            PortErrorKind::Misuse
        }
        // A closed connection, a read-only server (a standby after a failover), a serialization failure, a time-out, a
        // shutdown, a full disk, and kinds that later versions of Diesel may add.
        _ => PortErrorKind::Unavailable,
    }
}
