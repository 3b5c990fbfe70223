//! What can go wrong, for whoever starts the adapter and for whoever calls its ports.

use redis::{ErrorKind, RedisError};
use tallyhouse_core::ports::{PortError, PortErrorKind};

/// The settings can't be used. Its `Display` shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL is not one of the known forms.
    #[error("the Redis URL {0}")]
    Url(&'static str),
    /// The client library refuses the address.
    #[error("the Redis address is refused")]
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

/// Says in the words of the ports what a caller can do about an error.
pub(crate) fn port_error(what: &'static str, error: RedisError) -> PortError {
    let kind = match error.kind() {
        ErrorKind::InvalidClientConfig => PortErrorKind::Misuse,
        ErrorKind::UnexpectedReturnType => PortErrorKind::Corrupt,
        // A key of another type is somebody's mistake, and only a look at the server clears it up.
        _ if error.code() == Some("WRONGTYPE") => PortErrorKind::Corrupt,
        // Whatever else a server says (it is full, it loads, it is a replica now, a password was changed) may be over
        // with the next attempt, and nothing of it is the payload's fault.
        _ => PortErrorKind::Unavailable,
    };
    PortError::new(kind, what, error)
}

/// Whether the connection may be used on after this error: the server answered it, and it is still the server to ask.
pub(crate) fn keeps_link(error: &RedisError) -> bool {
    match error.code() {
        Some("READONLY" | "UNBLOCKED" | "NOAUTH" | "MOVED" | "ASK" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING") => false,
        Some(_) => true,
        None => error.kind() == ErrorKind::UnexpectedReturnType,
    }
}

/// Whether the server has reached its `maxmemory`.
pub(crate) fn is_out_of_memory(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// Whether the user lacks the right to a command.
pub(crate) fn is_forbidden(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}

/// Whether the stream has lost its consumer group, or is itself gone.
pub(crate) fn is_group_missing(error: &RedisError) -> bool {
    // Before Redis 7, an error inside a script is wrapped into a general one.
    matches!(error.code(), Some("NOGROUP" | "UNBLOCKED")) || error.detail().is_some_and(|text| text.contains("NOGROUP"))
}
