//! Commit order: how a sender's submissions are processed in the order in which they were made, although the next one
//! is started before the last one is done.
//!
//! A submission has *started* once every later commit is guaranteed to follow it, or to fail with it. Its successor may
//! start then. If the guarantee is revoked, the successor waits until its predecessor has ended; if the predecessor has
//! failed, so does the successor.

use std::future::Future;
use std::sync::Arc;

use tallyhouse_core::Arrival;
use tallyhouse_core::ports::CommitOrder;
use tokio::sync::watch;

use crate::commit::intake::Ingress;
use crate::submit_error::Answer;

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

/// The place of one submission in its sender's order. Dropping it before it has ended fails the submission.
#[derive(Debug)]
pub(crate) struct Place(Link);

/// One link of the chain of submissions: its own stage, and its predecessor's.
#[derive(Debug, Clone)]
struct Link {
    stage: watch::Sender<Stage>,
    predecessor: Option<watch::Receiver<Stage>>,
}

impl Place {
    fn after(predecessor: Option<watch::Receiver<Stage>>) -> Self {
        Self(Link { stage: watch::Sender::new(Stage::Waiting), predecessor })
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

impl Drop for Place {
    fn drop(&mut self) {
        self.0.change(Stage::Failed);
    }
}

impl Link {
    fn predecessor(&self) -> Stage {
        self.predecessor.as_ref().map_or(Stage::Done, |stage| *stage.borrow())
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

/// Waits until a submission has come to a stage; returns at once if there is no submission.
async fn reach(submission: Option<&mut watch::Receiver<Stage>>, far_enough: impl FnMut(&Stage) -> bool) -> Stage {
    match submission {
        // A sender ends its submission before it is dropped.
        Some(stage) => stage.wait_for(far_enough).await.map_or(Stage::Failed, |stage| *stage),
        None => Stage::Done,
    }
}

/// The order of the submissions in one batch, as far as they have one. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchOrder(Arc<[Link]>);

impl BatchOrder {
    pub(crate) fn of<'a>(places: impl Iterator<Item = &'a Place>) -> Self {
        Self(places.map(|place| place.0.clone()).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until every predecessor has ended.
    pub(crate) async fn predecessors_ended(&self) {
        for link in &*self.0 {
            reach(link.predecessor.clone().as_mut(), |stage| stage.has_ended()).await;
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

/// An ingress for submissions that are processed in the order in which they are made, while more than one of them is
/// under way. [`OrderedChunks`](crate::OrderedChunks) also keeps the submissions that are under way.
///
/// ```
/// # use std::sync::Arc;
/// # use tallyhouse_pipeline::{Pipeline, PipelineParts, TokioClock};
/// # use tallyhouse_testing::{MemoryRepository, generate};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(TokioClock::start());
/// # let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// # let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository.clone(), clock.clone()));
/// # let work = tokio::spawn(driver.run());
/// let mut ordered = pipeline.ingress().ordered();
/// let record = |id| generate::record(id, "shop-9", "", "12.50", "EUR").into();
/// let (first, second) = (ordered.submit(vec![record("r-1")]), ordered.submit(vec![record("r-2")]));
/// let (first, second) = futures::join!(first, second);
/// assert_eq!((first?.len(), second?.len()), (1, 1));
/// # drop(ordered);
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OrderedIngress {
    ingress: Ingress,
    last: Option<watch::Receiver<Stage>>,
    last_but_one: Option<watch::Receiver<Stage>>,
}

impl OrderedIngress {
    /// The most submissions under way; further ones wait. While the store commits the one, the next is prepared.
    pub const UNDER_WAY_MAX: usize = 2;

    pub(crate) fn new(ingress: Ingress) -> Self {
        Self { ingress, last: None, last_but_one: None }
    }

    /// Submits records as [`Ingress::submit`] does, after all earlier submissions. The place in the order is taken by
    /// the call; later submissions wait until the returned future is polled. Once a submission has failed, all that
    /// were made before its answer fail; make a new ordered ingress then, and submit again.
    ///
    /// # Errors
    /// As for [`Ingress::submit`]. Cancelling counts as an error for later submissions, unless the records are in the
    /// intake already.
    pub fn submit(&mut self, arrivals: Vec<Arrival>) -> impl Future<Output = Answer> + Send + use<> {
        let (ingress, mut last_but_one) = (self.ingress.clone(), self.last_but_one.clone());
        let place = (!arrivals.is_empty()).then(|| {
            let place = Place::after(self.last.clone());
            self.last_but_one = self.last.replace(place.0.stage.subscribe());
            place
        });
        async move {
            let Some(place) = place else { return Ok(Vec::new()) };
            reach(last_but_one.as_mut(), |stage| stage.has_ended()).await;
            match reach(place.0.predecessor.clone().as_mut(), |stage| *stage != Stage::Waiting).await {
                Stage::Failed => Err(ingress.reject_successor(arrivals.len())),
                Stage::Waiting | Stage::Started | Stage::Done => ingress.submit_at(arrivals, Some(place)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
