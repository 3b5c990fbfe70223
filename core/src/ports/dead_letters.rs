//! The dead-letter port: where refused queue payloads are kept.

use async_trait::async_trait;

use crate::ports::error::PortError;

/// Keeps refused queue payloads until an operator replays or removes them.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Returns a page of dead letters, oldest first, after the one with the id `after`.
    ///
    /// The page MAY end before `limit` although more follow, so that its bytes are bounded: only an empty page is the
    /// end.
    ///
    /// # Errors
    /// [`PortErrorKind::Misuse`](crate::ports::PortErrorKind::Misuse) if `after` is not an id that was handed out;
    /// otherwise the store can't answer now.
    async fn list(&self, after: Option<String>, limit: usize) -> Result<Vec<DeadLetter>, PortError>;

    /// Returns one dead letter; `None` also for a text that could not be an id.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn find(&self, id: &str) -> Result<Option<DeadLetter>, PortError>;

    /// Removes one dead letter; says whether there was one.
    ///
    /// # Errors
    /// The store can't do it now.
    async fn remove(&self, id: &str) -> Result<bool, PortError>;
}

/// A payload that was refused, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity among the dead letters.
    pub id: String,
    /// The bytes as they came.
    pub payload: Vec<u8>,
    /// The reason's code: see [`DeadLetterReason::name`](crate::ports::DeadLetterReason::name).
    pub reason: String,
    /// The reason in words.
    pub detail: String,
    /// The name of the source it came by.
    pub origin: String,
    /// When it was refused: RFC 3339.
    pub at: String,
}
