//! How a port fails: what the caller can do about it, and why it happened.

use std::error::Error;
use std::fmt;

/// What a caller can do about a failed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// The other side can't do it now: try again later.
    Unavailable,
    /// The other side refuses the input: trying the same again does not help.
    Refused,
    /// Stored data can't be read: stop, and have a person inspect it.
    Corrupt,
    /// The caller or the adapter is wrong: a bug.
    Misuse,
}

/// A port failed. `Display` says which operation; [`Error::source`] says why.
#[derive(Debug)]
pub struct PortError {
    kind: PortErrorKind,
    what: &'static str,
    reason: Option<&'static str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// Says which operation failed (in the words of the port, e.g. "committing a batch") and why.
    pub fn new(kind: PortErrorKind, what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, what, reason: None, source: Some(source.into()) }
    }

    /// Adds the reason for callers outside: a fixed text, e.g. "the disk is full". The causes are for the log alone,
    /// since they may hold SQL, addresses or contents of records.
    #[must_use]
    pub fn with_reason(self, reason: Option<&'static str>) -> Self {
        Self { reason, ..self }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        self.kind
    }

    /// Returns the reason for callers outside, where the adapter knows it.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.reason
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.kind {
            PortErrorKind::Unavailable => "is not possible now",
            PortErrorKind::Refused => "was refused",
            PortErrorKind::Corrupt => "found corrupt data",
            PortErrorKind::Misuse => "was asked for wrongly",
        };
        write!(f, "{} {state}", self.what)
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
