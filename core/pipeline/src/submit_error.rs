//! Why a submission has no outcome.

use std::sync::Arc;

use tallyhouse_core::Outcome;
use tallyhouse_core::ports::PortError;

/// Why a record that was submitted has no outcome. Nothing is known to have been stored, and submitting it again is
/// always safe.
///
/// Two errors are equal if the caller handles them alike: the cause of [`SubmitError::Unavailable`] is not compared.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// The lane of the ingress in the intake is full.
    #[error("too many records are waiting; submit again later")]
    Overloaded,
    /// The store is unavailable. The cause, for a log, is the failure of the last attempt to commit; there is none if the
    /// circuit breaker was open, or if a predecessor failed.
    #[error("storage is unavailable; submit again later")]
    Unavailable(#[source] Option<Arc<PortError>>),
    /// The pipeline is closed, or its driver has ended.
    #[error("the service is stopping; submit again when it is back")]
    Stopped,
}

impl PartialEq for SubmitError {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Eq for SubmitError {}

/// The outcomes of one submission, one for each record.
pub(crate) type Answer = Result<Vec<Outcome>, SubmitError>;

/// The result of one record: its outcome, or the reason why it has none.
pub(crate) type RecordResult = Result<Outcome, SubmitError>;

#[cfg(test)]
mod tests;
