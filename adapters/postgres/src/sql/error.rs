//! What can go wrong, and what it means to the caller: decided in one place, [`Fault::kind`].

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tallyhouse_core::ports::{PortError, PortErrorKind};

/// Why a call of the repository failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The database or the way to it.
    #[error("the database failed")]
    Database(#[from] DieselError),
    /// No connection could be had.
    #[error("there is no connection")]
    Connection(#[from] r2d2::Error),
    /// No connection could be made.
    #[error("there is no connection")]
    Unreachable(#[source] Box<diesel::ConnectionError>),
    /// A migration failed.
    #[error("a migration failed")]
    Migration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// All connections are taken.
    #[error("every connection has been in use for too long")]
    Busy,
    /// The database does not answer, not even with an error.
    #[error("the database does not answer")]
    Silent,
    /// Another transaction inserted a record id of ours under another key: the batch is to be done again.
    #[error("other transactions took a record id at the same time, again and again")]
    Raced,
    /// The connection was cut while a commit was under way, and another one is to find out what became of it.
    #[error("the connection was cut")]
    InDoubt,
    /// The connection was cut while the COMMIT, or the answer, was under way.
    #[error("the connection was cut before the answer to COMMIT")]
    CommitUnknown(#[source] Box<Fault>),
    /// Whoever read the stream has left it.
    #[error("the stream was left")]
    Left,
    /// What is stored breaks a rule.
    #[error("{0}")]
    Corrupt(String),
    /// The caller, or this adapter, is wrong.
    #[error("{0}")]
    Misuse(String),
}

impl Fault {
    /// Says what the caller can do. Diesel shows no SQLSTATE, and messages may be translated (`lc_messages`): what
    /// Diesel tells apart for certain is branched on, and everything else is taken for storage that is away, which is
    /// tried again and blames no record.
    pub(crate) fn kind(&self) -> PortErrorKind {
        match self {
            Self::Database(error) => kind_of(error),
            Self::Connection(_)
            | Self::Unreachable(_)
            | Self::Migration(_)
            | Self::Busy
            | Self::Silent
            | Self::Raced
            | Self::InDoubt
            | Self::CommitUnknown(_)
            | Self::Left => PortErrorKind::Unavailable,
            Self::Corrupt(_) => PortErrorKind::Corrupt,
            Self::Misuse(_) => PortErrorKind::Misuse,
        }
    }

    /// Says whether the same transaction, begun again at once, is likely to succeed.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Raced | Self::Database(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => {
                true
            }
            // 40P01 has no kind of its own. Where the message is translated, the caller repeats the batch instead of
            // us.
            Self::Database(DieselError::DatabaseError(DatabaseErrorKind::Unknown, about)) => {
                about.message() == "deadlock detected"
            }
            _ => false,
        }
    }

    /// Says whether the connection was cut, and the work may be done on another one: nothing was committed, or who does
    /// it again sees to that.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(
            self,
            Self::InDoubt
                | Self::Database(DieselError::DatabaseError(
                    DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                    _
                ))
        )
    }

    /// Says whether the connection may have been cut all the same: Diesel tells that apart in none of the errors that
    /// it gets while it prepares a statement.
    pub(crate) fn may_be_cut(&self) -> bool {
        matches!(self, Self::Database(DieselError::DatabaseError(DatabaseErrorKind::Unknown, _)))
    }

    /// Says whether the connection is of no more use. Diesel does not notice when it is cut while a statement is
    /// prepared.
    pub(crate) fn spoils_connection(&self) -> bool {
        self.is_cut() || matches!(self, Self::CommitUnknown(_))
    }

    /// Turns it into the port's error. `what` says in the words of the port what failed.
    pub(crate) fn port(self, what: &'static str) -> PortError {
        let kind = self.kind();
        match self {
            // These say it all; a cause above them would only repeat what the port says.
            Self::Database(error) => PortError::new(kind, what, error),
            Self::Connection(error) => PortError::new(kind, what, error),
            other => PortError::new(kind, what, other),
        }
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
        // Closed, read-only (a standby after a failover), serialization, time-outs, shutdown, a full disk, and what
        // later versions of Diesel may tell apart.
        _ => PortErrorKind::Unavailable,
    }
}
