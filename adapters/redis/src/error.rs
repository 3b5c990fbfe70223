//! Errors of the setup, and the classification of Redis' errors for callers of the ports.

use redis::{ErrorKind, RedisError};
use tallyhouse_core::ports::{PortError, PortErrorKind};

/// The settings can't be used. Its `Display` shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL is not one of the known forms.
    #[error("the Redis URL {0}")]
    Url(&'static str),
    /// The client library rejects the address.
    #[error("the Redis address is rejected")]
    Address(#[source] RedisError),
    /// The file of authorities can't be read.
    #[error("the file of certificate authorities can't be read")]
    CaFile(#[source] std::io::Error),
    /// The prefix can't be used in keys.
    #[error("the Redis prefix must be 1 to 128 characters with no braces, spaces or control characters")]
    Prefix,
    /// A duration is zero.
    #[error("the Redis setting {0} must be longer than zero")]
    Duration(&'static str),
}

/// Classifies an error of Redis by what the caller of a port can do about it.
pub(crate) fn port_error(what: &'static str, error: RedisError) -> PortError {
    let kind = match error.kind() {
        ErrorKind::InvalidClientConfig => PortErrorKind::Misuse,
        ErrorKind::UnexpectedReturnType => PortErrorKind::Corrupt,
        // A key has another type: only an operator can correct that.
        _ if is_wrong_type(&error) => PortErrorKind::Corrupt,
        // Other server errors (full, loading, now a replica, wrong password) are states of the server, not faults of
        // the payload. A later attempt may succeed.
        _ => PortErrorKind::Unavailable,
    };
    PortError::new(kind, what, error)
}

/// Says whether the connection can be used after this error: the server answered, and it still is the right server.
pub(crate) fn keeps_connection(error: &RedisError) -> bool {
    match error.code() {
        Some("READONLY" | "UNBLOCKED" | "NOAUTH" | "MOVED" | "ASK" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING") => false,
        Some(_) => true,
        None => error.kind() == ErrorKind::UnexpectedReturnType,
    }
}

/// Says whether the server has reached its `maxmemory`.
pub(crate) fn is_out_of_memory(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// Says whether a key has another type than the command needs.
pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Says whether the user lacks the right to a command.
pub(crate) fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// Says whether the stream or its consumer group is missing.
pub(crate) fn is_group_missing(error: &RedisError) -> bool {
    // Before Redis 7, a script wraps the error into a general one.
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED")) || error.detail().is_some_and(|text| text.contains("NOGROUP"))
}
