//! Turns: how submissions are processed in the order in which they were made, although the next one is begun before the
//! last one is done.
//!
//! A submission may begin when the one before it has **begun**: when the store has it in such a way that what is
//! committed from then on comes after it, or is not committed unless it is. Where that turns out not to be so, the turn
//! is taken back, and whoever comes after waits until the one before has ended. Where that one has no outcome, they
//! have none either.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

use crate::intake::{Answer, Door, SubmitError};
use crate::plan::Arrival;

/// How far a submission has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Begun,
    /// All its records have an outcome.
    Done,
    /// At least one of them has none.
    Failed,
}

impl Stage {
    fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// The turn of one submission; it fails if it is dropped before it has ended.
#[derive(Debug)]
pub(crate) struct Place(Turn);

/// What can be seen of the turn of one submission.
#[derive(Debug, Clone)]
struct Turn {
    stage: watch::Sender<Stage>,
    before: Option<watch::Receiver<Stage>>,
}

impl Place {
    fn after(before: Option<watch::Receiver<Stage>>) -> Self {
        Self(Turn { stage: watch::Sender::new(Stage::Waiting), before })
    }

    /// Ends the turn.
    pub(crate) fn end(self, done: bool) {
        self.0.stage.send_replace(if done { Stage::Done } else { Stage::Failed });
    }

    /// Says whether the submission before has ended without an outcome.
    pub(crate) fn is_forsaken(&self) -> bool {
        self.0.before() == Stage::Failed
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.change(Stage::Failed);
    }
}

impl Turn {
    fn before(&self) -> Stage {
        self.before.as_ref().map_or(Stage::Done, |before| *before.borrow())
    }

    /// Changes the stage, unless the turn has ended.
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

/// Waits until a submission has come so far; says so at once where there is none.
async fn reach(submission: Option<&mut watch::Receiver<Stage>>, far_enough: impl FnMut(&Stage) -> bool) -> Stage {
    match submission {
        // The other side ends its turn before it goes.
        Some(stage) => stage.wait_for(far_enough).await.map_or(Stage::Failed, |stage| *stage),
        None => Stage::Done,
    }
}

/// The turns of the submissions in a batch, as far as they have an order: see
/// [`RecordRepository::commit`](crate::ports::RecordRepository::commit). Clones are the same turns. By default there
/// are none.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<[Turn]>);

impl Turns {
    pub(crate) fn of<'a>(places: impl Iterator<Item = &'a Place>) -> Self {
        Self(places.map(|place| place.0.clone()).collect())
    }

    /// Says whether all that comes before the batch has begun, or is done.
    #[must_use]
    pub fn have_come(&self) -> bool {
        self.0.iter().all(|turn| matches!(turn.before(), Stage::Begun | Stage::Done))
    }

    /// Says whether all that comes before the batch is done.
    #[must_use]
    pub fn are_first(&self) -> bool {
        self.0.iter().all(|turn| turn.before() == Stage::Done)
    }

    /// Lets what comes after the batch begin.
    pub fn begin(&self) {
        self.0.iter().for_each(|turn| turn.change(Stage::Begun));
    }

    /// Takes back that the batch has begun, since it was not committed.
    pub fn take_back(&self) {
        self.0.iter().for_each(|turn| turn.change(Stage::Waiting));
    }

    /// Waits until all that comes before has ended.
    pub(crate) async fn before_ended(&self) {
        for turn in &*self.0 {
            reach(turn.before.clone().as_mut(), |stage| stage.has_ended()).await;
        }
    }
}

/// A way into the pipeline for submissions that are to be processed in the order in which they are made, while more
/// than one of them is under way.
#[derive(Debug)]
pub struct OrderedDoor {
    door: Door,
    /// The last submission, and the one before.
    last: Option<watch::Receiver<Stage>>,
    last_but_one: Option<watch::Receiver<Stage>>,
}

impl OrderedDoor {
    /// How many submissions are under way at most; further ones wait. While a store does the one, the next is prepared.
    pub const UNDER_WAY_MAX: usize = 2;

    pub(crate) fn new(door: Door) -> Self {
        Self { door, last: None, last_but_one: None }
    }

    /// Submits records as [`Door::submit`] does, behind all that were submitted before. Its place is taken at once, and
    /// those behind it wait until what is returned is polled. Once a submission has failed, all that were made before
    /// its answer fail; make a new way in then, and submit again.
    ///
    /// # Errors
    /// As for [`Door::submit`]. Cancelling counts as an error for those behind it, unless the records are in the intake
    /// already.
    pub fn submit(&mut self, arrivals: Vec<Arrival>) -> impl Future<Output = Answer> + Send + use<> {
        let (door, mut last_but_one) = (self.door.clone(), self.last_but_one.clone());
        let place = (!arrivals.is_empty()).then(|| {
            let place = Place::after(self.last.clone());
            self.last_but_one = self.last.replace(place.0.stage.subscribe());
            place
        });
        async move {
            let Some(place) = place else { return Ok(Vec::new()) };
            reach(last_but_one.as_mut(), |stage| stage.has_ended()).await;
            match reach(place.0.before.clone().as_mut(), |stage| *stage != Stage::Waiting).await {
                Stage::Failed => Err(door.turn_away(arrivals.len(), SubmitError::Unavailable)),
                Stage::Waiting | Stage::Begun | Stage::Done => door.submit_at(arrivals, Some(place)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
