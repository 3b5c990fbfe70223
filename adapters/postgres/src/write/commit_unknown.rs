//! Tracks a commit whose result is unknown, so that its repetition is judged correctly.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tallyhouse_core::Known;

use crate::sql::error::StoreError;

/// Why the result of a commit is unknown: the connection was cut before the answer. Lives as long as the batch, across
/// connections.
#[derive(Default)]
pub(crate) struct CommitUnknown(Mutex<Option<StoreError>>);

impl CommitUnknown {
    /// Says whether an attempt at the batch has an unknown result.
    pub(crate) fn is_set(&self) -> bool {
        self.cause().is_some()
    }

    fn cause(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that the result is unknown. The error makes the pool repeat the batch on another connection.
    pub(crate) fn remember(&self, cause: StoreError) -> StoreError {
        *self.cause() = Some(cause);
        StoreError::CommitInterrupted
    }

    /// Gives up: returns the error for the caller, if the result is unknown.
    pub(crate) fn take(&self) -> Option<StoreError> {
        self.cause().take().map(|cause| StoreError::CommitUnknown(Box::new(cause)))
    }

    /// Checks the state that a repeated commit has read under its locks. If none of the records is stored, the earlier
    /// attempt has not committed, and it cannot commit any more once this transaction has written its ids or keys.
    ///
    /// # Errors
    /// [`StoreError::CommitUnknown`] if some are stored: by the earlier attempt, or before it. Only the caller can tell.
    pub(crate) fn check(&self, known: &Known) -> Result<(), StoreError> {
        if known.records.is_empty() {
            return Ok(());
        }
        self.take().map_or(Ok(()), Err)
    }
}
