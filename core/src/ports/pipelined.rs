//! The optional part of the repository port: commits in order, where the next one starts before the last one is done.
//!
//! A sender's submissions are processed in the order in which they were made. Without this part the pipeline commits
//! such a submission only when its predecessor is done. With it, two of them are in flight at once.
//!
//! A submission has *started* once every later commit is guaranteed to follow it, or to fail with it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::ports::error::PortError;
use crate::ports::repository::{Batch, Committed};

/// Commits ordered batches, the next one before the last one is done.
#[async_trait]
pub trait PipelinedRepository: Send + Sync {
    /// Commits a batch as [`RecordRepository::commit`](crate::ports::RecordRepository::commit) does, in the order that
    /// `order` says. Returns `None`, with nothing committed, if a predecessor is not certain to be committed first; the
    /// caller waits for the predecessors and tries again.
    ///
    /// An adapter MAY call [`CommitOrder::start`] before the batch is committed, once no later commit of this process
    /// can come before it: every commit that shares a key or an id with it is planned upon it, or waits for it. The
    /// adapter MUST then hold one lock while it checks [`CommitOrder::may_start`] and starts the batch, return `None`
    /// if it may not start (unless [`CommitOrder::predecessors_done`]), and call [`CommitOrder::revoke`] under the same
    /// lock if the commit fails.
    ///
    /// # Errors
    /// As for [`RecordRepository::commit`](crate::ports::RecordRepository::commit).
    async fn commit_in_order(&self, batch: Batch, order: Arc<dyn CommitOrder>) -> Result<Option<Committed>, PortError>;
}

/// The place of a batch in the order of its senders' submissions.
pub trait CommitOrder: fmt::Debug + Send + Sync {
    /// Says whether every predecessor has started or is done.
    fn may_start(&self) -> bool;

    /// Says whether every predecessor is done.
    fn predecessors_done(&self) -> bool;

    /// Marks the batch as started: its successors may start.
    fn start(&self);

    /// Takes [`CommitOrder::start`] back, since the batch was not committed: its successors wait.
    fn revoke(&self);
}

/// The order of a batch without predecessors and successors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unordered;

impl CommitOrder for Unordered {
    fn may_start(&self) -> bool {
        true
    }

    fn predecessors_done(&self) -> bool {
        true
    }

    fn start(&self) {}

    fn revoke(&self) {}
}
