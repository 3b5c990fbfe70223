//! The bounded intake: where records wait until a writer is free.
//!
//! Each door has a lane of its own with its own room, and writers serve the lanes in turn, so that one door's backlog
//! neither fills another's room nor holds its records up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use crate::breaker::{Breaker, BreakerState};
use crate::outcome::Outcome;
use crate::pipeline::PipelineSettings;
use crate::plan::Arrival;

/// Why a record that was submitted has no outcome. Nothing is known to have been stored, and submitting it again is
/// always safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SubmitError {
    /// The door's room in the intake is taken.
    #[error("too many records are waiting; submit again later")]
    Overloaded,
    /// The store can't do it now.
    #[error("storage is unavailable; submit again later")]
    Unavailable,
    /// The pipeline has been closed.
    #[error("the service is stopping; submit again when it is back")]
    Stopped,
}

/// What the records of one submission come back as.
pub(crate) type Answer = Result<Vec<Outcome>, SubmitError>;

/// A submission that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// The room it takes, given back when it is dropped.
    pub(crate) room: Room,
}

#[derive(Debug)]
pub(crate) struct Room {
    _records: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
pub(crate) struct Intake {
    lanes: Mutex<Lanes>,
    waiting: Notify,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: Vec<VecDeque<Waiting>>,
    /// The lane to look into first, next time.
    turn: usize,
    closed: bool,
}

impl Intake {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // A panic elsewhere leaves the queues whole: every change to them is a single push or pop.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn open_lane(&self) -> usize {
        let mut lanes = self.lanes();
        lanes.lanes.push(VecDeque::new());
        lanes.lanes.len() - 1
    }

    fn push(&self, lane: usize, waiting: Waiting) -> Result<(), SubmitError> {
        let mut lanes = self.lanes();
        if lanes.closed {
            return Err(SubmitError::Stopped);
        }
        lanes.lanes[lane].push_back(waiting);
        drop(lanes);
        self.waiting.notify_one();
        Ok(())
    }

    /// Waits until something waits, and takes what is there, up to about `records_max`; `None` once the intake is closed
    /// and empty.
    pub(crate) async fn take(&self, records_max: usize) -> Option<Vec<Waiting>> {
        loop {
            // Made before the look, so that a push or a close in between wakes it.
            let woken = self.waiting.notified();
            {
                let mut lanes = self.lanes();
                let taken = lanes.take(records_max);
                if !taken.is_empty() {
                    let more = lanes.lanes.iter().any(|lane| !lane.is_empty());
                    drop(lanes);
                    if more {
                        self.waiting.notify_one();
                    }
                    return Some(taken);
                }
                if lanes.closed {
                    return None;
                }
            }
            woken.await;
        }
    }

    /// Refuses what comes from now on; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lanes().closed = true;
        self.waiting.notify_waiters();
        self.closed.notify_waiters();
    }

    /// Waits until the intake is closed.
    pub(crate) async fn closed(&self) {
        let closed = self.closed.notified();
        if !self.is_closed() {
            closed.await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes().closed
    }

    /// Returns how many records wait.
    pub(crate) fn depth(&self) -> usize {
        self.lanes().lanes.iter().flatten().map(|waiting| waiting.arrivals.len()).sum()
    }
}

impl Lanes {
    /// Takes submissions from the lanes in turn. The first is taken whatever its size, and none that would exceed
    /// `records_max` after it.
    fn take(&mut self, records_max: usize) -> Vec<Waiting> {
        let (mut taken, mut records) = (Vec::new(), 0);
        let mut idle_lanes = 0;
        while idle_lanes < self.lanes.len() {
            let lane = self.turn % self.lanes.len();
            let fits = |waiting: &Waiting| taken.is_empty() || records + waiting.arrivals.len() <= records_max;
            if self.lanes[lane].front().is_some_and(fits) {
                if let Some(waiting) = self.lanes[lane].pop_front() {
                    records += waiting.arrivals.len();
                    taken.push(waiting);
                }
                idle_lanes = 0;
            } else {
                idle_lanes += 1;
            }
            self.turn = lane + 1;
        }
        taken
    }
}

/// A way into the pipeline, with room of its own in the intake. Clones share the room.
#[derive(Debug, Clone)]
pub struct Door {
    intake: Arc<Intake>,
    breaker: Breaker,
    lane: usize,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    records_max: usize,
    bytes_max: usize,
    chunk_records_max: usize,
}

impl Door {
    pub(crate) fn new(intake: &Arc<Intake>, breaker: &Breaker, settings: &PipelineSettings) -> Self {
        Self {
            lane: intake.open_lane(),
            intake: Arc::clone(intake),
            breaker: breaker.clone(),
            records: Arc::new(Semaphore::new(settings.intake_records_max)),
            bytes: Arc::new(Semaphore::new(settings.intake_bytes_max)),
            records_max: settings.intake_records_max,
            bytes_max: settings.intake_bytes_max,
            chunk_records_max: settings.batch_records_max,
        }
    }

    /// Returns how many records a submission should have at most: as many as are committed together.
    #[must_use]
    pub fn chunk_records_max(&self) -> usize {
        self.chunk_records_max
    }

    /// Submits records, waiting for room, and returns one outcome for each once they are committed.
    ///
    /// Cancelling the call may leave them to be committed all the same.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] or [`SubmitError::Stopped`]; submitting again is safe.
    pub async fn submit(&self, arrivals: Vec<Arrival>) -> Answer {
        self.check_breaker()?;
        let (records, bytes) = self.permits(&arrivals);
        // The semaphores are never closed.
        let records = Arc::clone(&self.records).acquire_many_owned(records).await.map_err(|_| SubmitError::Stopped)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| SubmitError::Stopped)?;
        self.enter(arrivals, Room { _records: records, _bytes: bytes }).await
    }

    /// Submits records as [`Door::submit`] does, but refuses them at once when there is no room.
    ///
    /// # Errors
    /// Any [`SubmitError`]; submitting again is safe.
    pub async fn submit_now(&self, arrivals: Vec<Arrival>) -> Answer {
        self.check_breaker()?;
        let (records, bytes) = self.permits(&arrivals);
        let full = |_| if self.intake.is_closed() { SubmitError::Stopped } else { SubmitError::Overloaded };
        let records = Arc::clone(&self.records).try_acquire_many_owned(records).map_err(full)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).map_err(full)?;
        self.enter(arrivals, Room { _records: records, _bytes: bytes }).await
    }

    /// The breaker of storage.
    pub(crate) fn storage(&self) -> &Breaker {
        &self.breaker
    }

    /// Nobody is made to wait for a storage that is known to be away.
    fn check_breaker(&self) -> Result<(), SubmitError> {
        match self.breaker.state() {
            BreakerState::Open => Err(SubmitError::Unavailable),
            BreakerState::Closed | BreakerState::HalfOpen => Ok(()),
        }
    }

    async fn enter(&self, arrivals: Vec<Arrival>, room: Room) -> Answer {
        if arrivals.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        self.intake.push(self.lane, Waiting { arrivals, reply, room })?;
        // The sender is dropped unanswered only if the writer was: then the host is going down.
        answer.await.unwrap_or(Err(SubmitError::Stopped))
    }

    /// A submission larger than all the room takes all of it, so that it passes once it is alone.
    fn permits(&self, arrivals: &[Arrival]) -> (u32, u32) {
        let records = arrivals.len().min(self.records_max);
        let bytes: usize = arrivals.iter().map(|arrival| arrival.record.weight()).sum();
        let permits = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (permits(records), permits(bytes.min(self.bytes_max)))
    }
}

#[cfg(test)]
mod tests;
