//! Commits a batch: optimistically where possible, otherwise with locks.
//!
//! A batch is committed *optimistically* where possible: planned from cached summaries, and written by one statement
//! that writes nothing unless the store is as the plan expects (see [`Optimistic`]). Otherwise it is committed *with
//! locks* ([`locked`](crate::write::locked)): four round trips for any size. The SQL functions are in the package
//! `tallyhouse-migrations`, with the order of their locks.
//!
//! A batch without new records commits, too: a duplicate is acknowledged only when its first commit is durable by the
//! server's own rule, synchronous standbys included.

use std::sync::Arc;

use diesel::pg::PgConnection;
use diesel::r2d2::R2D2Connection;
use tallyhouse_core::ports::{Batch, CommitOrder, Committed};

use crate::sql::error::StoreError;
use crate::write::commit_unknown::CommitUnknown;
use crate::write::known::sorted_keys;
use crate::write::locked;
use crate::write::optimistic::Optimistic;

/// The slots of one batch: see the table `batches`.
const RECORDS_MAX: usize = 1 << 20;

/// Commits a batch. Returns `None` if a predecessor is not committed yet. Tries again after clashes with other
/// transactions. If the connection was cut, the caller repeats the call with the same `commit_unknown` on another one.
///
/// # Errors
/// Nothing is committed, except for [`StoreError::CommitUnknown`] and [`StoreError::CommitInterrupted`], where the result is
/// unknown.
pub(crate) fn commit(
    connection: &mut PgConnection,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    optimistic: &Optimistic,
    commit_unknown: &CommitUnknown,
) -> Result<Option<Committed>, StoreError> {
    if batch.arrivals.len() > RECORDS_MAX {
        return Err(StoreError::Misuse(format!(
            "a batch of {} records; {RECORDS_MAX} are allowed",
            batch.arrivals.len()
        )));
    }
    if batch.arrivals.is_empty() && batch.published.is_empty() {
        return Ok(Some(Committed { outcomes: Vec::new(), entry: None }));
    }
    let keys = sorted_keys(&batch.arrivals);
    if !commit_unknown.is_set() {
        match optimistic.commit(connection, batch, order, &keys) {
            Ok(None) => {}
            Ok(committed) => return Ok(committed),
            Err(StoreError::CommitUnknown(cause)) => return Err(commit_unknown.remember(*cause)),
            Err(error) if error.may_be_disconnected() && is_disconnected(connection) => {
                return Err(commit_unknown.remember(error));
            }
            Err(error) => return Err(error),
        }
    }
    if !order.predecessors_done() {
        return commit_unknown.take().map_or(Ok(None), Err);
    }
    locked::commit(connection, batch, &keys, optimistic, commit_unknown).map(Some)
}

fn is_disconnected(connection: &mut PgConnection) -> bool {
    connection.ping().is_err_and(|error| StoreError::from(error).is_disconnected())
}
