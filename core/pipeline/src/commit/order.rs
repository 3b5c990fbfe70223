//! Commit order: how a sender's submissions are processed in the order in which they were made, although the next one
//! starts before the last one is done.
//!
//! A submission has *started* once every later commit is guaranteed to follow it, or to fail with it. Its successor may
//! start then. If the guarantee is revoked, the successor waits until its predecessor has ended; if the predecessor has
//! failed, so does the successor.

use std::sync::Arc;

use tallyhouse_core::ports::CommitOrder;
use tokio::sync::watch;

/// The progress of one submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Started,
    /// Every record has an outcome.
    Done,
    /// At least one record has none.
    Failed,
}

impl Stage {
    fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// The progress of one submission, as its successors watch it.
#[derive(Debug, Clone)]
pub(crate) struct Progress(watch::Receiver<Stage>);

impl Progress {
    /// Waits until the submission is done or has failed.
    pub(crate) async fn ended(&self) {
        self.wait_for(|stage| stage.has_ended()).await;
    }

    fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    async fn wait_for(&self, condition: impl FnMut(&Stage) -> bool) -> Stage {
        let mut stage = self.0.clone();
        // A sender ends its submission before it is dropped.
        stage.wait_for(condition).await.map_or(Stage::Failed, |stage| *stage)
    }
}

/// The slot of one submission in its sender's order. Dropping it before it has ended fails the submission.
#[derive(Debug)]
pub(crate) struct OrderSlot(Link);

/// One link of the chain of submissions: its own stage, and its predecessor's progress.
#[derive(Debug, Clone)]
struct Link {
    stage: watch::Sender<Stage>,
    predecessor: Option<Progress>,
}

impl OrderSlot {
    pub(crate) fn after(predecessor: Option<Progress>) -> Self {
        Self(Link { stage: watch::Sender::new(Stage::Waiting), predecessor })
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress(self.0.stage.subscribe())
    }

    /// Waits until the predecessor has started; returns whether it has not failed.
    pub(crate) async fn predecessor_started(&self) -> bool {
        match &self.0.predecessor {
            Some(predecessor) => predecessor.wait_for(|stage| *stage != Stage::Waiting).await != Stage::Failed,
            None => true,
        }
    }

    /// Ends the submission.
    pub(crate) fn end(self, done: bool) {
        self.0.stage.send_replace(if done { Stage::Done } else { Stage::Failed });
    }

    /// Says whether the predecessor has failed.
    pub(crate) fn predecessor_failed(&self) -> bool {
        self.0.predecessor() == Stage::Failed
    }
}

impl Drop for OrderSlot {
    fn drop(&mut self) {
        self.0.change(Stage::Failed);
    }
}

impl Link {
    fn predecessor(&self) -> Stage {
        self.predecessor.as_ref().map_or(Stage::Done, Progress::stage)
    }

    /// Changes the stage, unless the submission has ended.
    fn change(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let changes = !stage.has_ended() && *stage != to;
            if changes {
                *stage = to;
            }
            changes
        });
    }
}

/// The order of those submissions in a batch that have one. Clones are the same order.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchOrder(Arc<[Link]>);

impl BatchOrder {
    pub(crate) fn of<'a>(slots: impl Iterator<Item = &'a OrderSlot>) -> Self {
        Self(slots.map(|slot| slot.0.clone()).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until every predecessor has ended.
    pub(crate) async fn predecessors_ended(&self) {
        for predecessor in self.0.iter().filter_map(|link| link.predecessor.as_ref()) {
            predecessor.ended().await;
        }
    }
}

impl CommitOrder for BatchOrder {
    fn may_start(&self) -> bool {
        self.0.iter().all(|link| matches!(link.predecessor(), Stage::Started | Stage::Done))
    }

    fn predecessors_done(&self) -> bool {
        self.0.iter().all(|link| link.predecessor() == Stage::Done)
    }

    fn start(&self) {
        self.0.iter().for_each(|link| link.change(Stage::Started));
    }

    fn revoke(&self) {
        self.0.iter().for_each(|link| link.change(Stage::Waiting));
    }
}

#[cfg(test)]
mod tests;
