//! The bounded intake: where records wait until a writer is free.
//!
//! Each ingress has a lane of its own with its own room, and writers serve the lanes in turn, so that one ingress's backlog
//! neither fills another's room nor holds its records up.
//!
//! A batch costs about as much as a hundred records, so writers do not split between them what one could commit: while
//! a commit is under way, another begins only when enough records wait for it, or when the last one began a while ago.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::commit::order::{OrderedIngress, Place};
use crate::dependency::breaker::{Breaker, BreakerState};
use crate::meter::{self, IngressMeter, Meter};
use crate::pipeline::PipelineSettings;
use crate::submit_error::{Answer, SubmitError};
use futures::future::select;
use tallyhouse_core::Arrival;
use tallyhouse_core::ports::Clock;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// How long records wait at most for a commit that is under way. It may be waiting itself, for another instance's.
const JOIN_WAIT: Duration = Duration::from_millis(50);

/// A submission that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// The room it takes, given back when it is dropped.
    pub(crate) room: Room,
    /// Where its answer is counted.
    pub(crate) meter: Arc<IngressMeter>,
    /// When it entered, by the clock.
    pub(crate) since: Duration,
    /// Its turn, if it has an order.
    pub(crate) place: Option<Place>,
}

#[derive(Debug)]
pub(crate) struct Room {
    _records: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

pub(crate) struct Intake {
    lanes: Mutex<Lanes>,
    waiting: Notify,
    closed: Notify,
    clock: Arc<dyn Clock>,
    /// How many records are worth another commit beside those under way.
    join_records_min: usize,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: Vec<VecDeque<Waiting>>,
    /// The room of every ingress: what waits for it ends when the intake is stopped.
    rooms: Vec<Arc<Semaphore>>,
    /// The lane to look into first, next time.
    turn: usize,
    /// How many records wait.
    records: usize,
    /// How many of those who took have not finished.
    busy: usize,
    /// When the last of them took, by the clock.
    last_taken: Duration,
    closed: bool,
    /// Set once no writer may be left to take anything.
    stopped: bool,
}

/// What a writer takes: it is busy until it drops `busy`.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) busy: Busy,
}

/// Says that a commit is under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Intake>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut lanes = self.0.lanes();
        lanes.busy -= 1;
        let more = lanes.records > 0;
        drop(lanes);
        if more {
            self.0.waiting.notify_one();
        }
    }
}

impl Intake {
    pub(crate) fn new(clock: Arc<dyn Clock>, settings: &PipelineSettings) -> Self {
        let (lanes, waiting, closed) = Default::default();
        // A full batch does not grow by waiting.
        let join_records_min = settings.join_records_min.min(settings.batch_records_max);
        Self { lanes, waiting, closed, clock, join_records_min }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // A panic elsewhere leaves the queues whole: every change to them is a single push or pop.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a lane for an ingress with this room.
    pub(crate) fn open_lane(&self, room: [&Arc<Semaphore>; 2]) -> usize {
        let mut lanes = self.lanes();
        lanes.rooms.extend(room.map(Arc::clone));
        lanes.lanes.push(VecDeque::new());
        lanes.lanes.len() - 1
    }

    fn push(&self, lane: usize, waiting: Waiting) -> Result<(), SubmitError> {
        let mut lanes = self.lanes();
        if lanes.closed {
            return Err(SubmitError::Stopped);
        }
        let was_empty = lanes.records == 0;
        lanes.records += waiting.arrivals.len();
        lanes.lanes[lane].push_back(waiting);
        // In between, whoever was woken by the first one looks after them, and so does whoever is busy.
        let wakes = was_empty || lanes.busy == 0 || lanes.records >= self.join_records_min;
        drop(lanes);
        if wakes {
            self.waiting.notify_one();
        }
        Ok(())
    }

    /// Waits until something waits that is worth a commit, and takes what is there, up to about `records_max`; `None`
    /// once the intake is closed and empty.
    pub(crate) async fn take(self: &Arc<Self>, records_max: usize) -> Option<Taken> {
        loop {
            // Made before the look, so that a push or a close in between wakes it.
            let woken = self.waiting.notified();
            let wait = {
                let mut lanes = self.lanes();
                let wait = lanes.wait(self.join_records_min, self.clock.elapsed());
                if wait.is_zero() {
                    let waiting = lanes.take(records_max);
                    lanes.busy += 1;
                    lanes.last_taken = self.clock.elapsed();
                    let more = lanes.records > 0;
                    drop(lanes);
                    if more {
                        self.waiting.notify_one();
                    }
                    return Some(Taken { waiting, busy: Busy(Arc::clone(self)) });
                }
                if lanes.records == 0 && lanes.closed {
                    return None;
                }
                wait
            };
            if wait == Duration::MAX {
                woken.await;
            } else {
                select(pin!(woken), pin!(self.clock.sleep(wait))).await;
            }
        }
    }

    /// Refuses what comes from now on; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lanes().closed = true;
        self.waiting.notify_waiters();
        self.closed.notify_waiters();
    }

    /// Ends every submission that no writer has taken, and refuses all further ones: no writer may be left.
    pub(crate) fn stop(&self) {
        let (waiting, rooms) = {
            let mut lanes = self.lanes();
            (lanes.closed, lanes.stopped, lanes.records) = (true, true, 0);
            let waiting: Vec<Waiting> = lanes.lanes.iter_mut().flat_map(std::mem::take).collect();
            (waiting, std::mem::take(&mut lanes.rooms))
        };
        rooms.iter().for_each(|room| room.close());
        // Submissions without a reply are answered with `Stopped`.
        drop(waiting);
        self.close();
    }

    /// Returns why a submission fails without an attempt to commit it.
    pub(crate) fn failure(&self) -> SubmitError {
        if self.lanes().stopped { SubmitError::Stopped } else { SubmitError::Unavailable(None) }
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

    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Returns how many records wait.
    pub(crate) fn depth(&self) -> usize {
        self.lanes().records
    }
}

impl Lanes {
    /// Returns how long what waits is still to be left waiting, unless something changes.
    fn wait(&self, join_records_min: usize, now: Duration) -> Duration {
        if self.records == 0 {
            Duration::MAX
        } else if self.busy == 0 || self.closed || self.records >= join_records_min {
            Duration::ZERO
        } else {
            (self.last_taken + JOIN_WAIT).saturating_sub(now)
        }
    }

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
        self.records -= records;
        taken
    }
}

/// The intake as the pipeline and its ingresses hold it. Dropping the last one closes the intake: nothing can be submitted
/// any more.
#[derive(Debug)]
pub(crate) struct IntakeHandle(pub(crate) Arc<Intake>);

impl Deref for IntakeHandle {
    type Target = Intake;

    fn deref(&self) -> &Intake {
        &self.0
    }
}

impl Drop for IntakeHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A way into the pipeline, with room of its own in the intake. Clones share the room.
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
/// let ingress = pipeline.ingress();
/// let records = ["r-1", "r-2"].map(|id| generate::record(id, "shop-9", "", "12.50", "EUR").into());
/// let outcomes = ingress.submit(records.to_vec()).await?;
/// assert_eq!(outcomes.iter().map(|outcome| outcome.name()).collect::<Vec<_>>(), ["processed", "processed"]);
/// # drop(ingress);
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Ingress {
    intake: Arc<IntakeHandle>,
    breaker: Breaker,
    meter: Arc<IngressMeter>,
    lane: usize,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    records_max: usize,
    bytes_max: usize,
    chunk_records_max: usize,
}

impl Ingress {
    pub(crate) fn new(
        name: &'static str,
        intake: &Arc<IntakeHandle>,
        breaker: &Breaker,
        meter: &Meter,
        settings: &PipelineSettings,
    ) -> Self {
        let records = Arc::new(Semaphore::new(settings.intake_records_max));
        let bytes = Arc::new(Semaphore::new(settings.intake_bytes_max));
        let room = |free: &Arc<Semaphore>, size| meter::Room { free: Arc::clone(free), size };
        Self {
            meter: meter.open(
                name,
                room(&records, settings.intake_records_max),
                room(&bytes, settings.intake_bytes_max),
            ),
            lane: intake.open_lane([&records, &bytes]),
            intake: Arc::clone(intake),
            breaker: breaker.clone(),
            records,
            bytes,
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
        self.submit_at(arrivals, None).await
    }

    pub(crate) async fn submit_at(&self, arrivals: Vec<Arrival>, place: Option<Place>) -> Answer {
        match self.room(&arrivals).await {
            Ok(room) => self.enter(arrivals, room, place).await,
            Err(error) => Err(self.reject(arrivals.len(), error)),
        }
    }

    /// Makes a way in by this ingress for submissions that are processed in their order.
    #[must_use]
    pub fn ordered(&self) -> OrderedIngress {
        OrderedIngress::new(self.clone())
    }

    /// Submits records as [`Ingress::submit`] does, but refuses them at once when there is no room.
    ///
    /// # Errors
    /// Any [`SubmitError`]; submitting again is safe.
    pub async fn submit_now(&self, arrivals: Vec<Arrival>) -> Answer {
        match self.room_now(&arrivals) {
            Ok(room) => self.enter(arrivals, room, None).await,
            Err(error) => Err(self.reject(arrivals.len(), error)),
        }
    }

    /// Counts records that were refused for their own fault before they could be submitted: with the rejected ones.
    pub fn count_refused(&self, records: usize) {
        self.meter.refused(records);
    }

    /// Counts records whose predecessors failed.
    pub(crate) fn reject_successor(&self, records: usize) -> SubmitError {
        self.reject(records, self.intake.failure())
    }

    /// The breaker of storage.
    pub(crate) fn storage(&self) -> &Breaker {
        &self.breaker
    }

    /// Waits for room.
    async fn room(&self, arrivals: &[Arrival]) -> Result<Room, SubmitError> {
        self.check_breaker()?;
        let (records, bytes) = self.permits(arrivals);
        // The semaphores are closed when the intake is stopped.
        let records = Arc::clone(&self.records).acquire_many_owned(records).await.map_err(|_| SubmitError::Stopped)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| SubmitError::Stopped)?;
        Ok(Room { _records: records, _bytes: bytes })
    }

    /// Takes room, if there is enough.
    fn room_now(&self, arrivals: &[Arrival]) -> Result<Room, SubmitError> {
        self.check_breaker()?;
        let (records, bytes) = self.permits(arrivals);
        let full = |_| if self.intake.is_closed() { SubmitError::Stopped } else { SubmitError::Overloaded };
        let records = Arc::clone(&self.records).try_acquire_many_owned(records).map_err(full)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).map_err(full)?;
        Ok(Room { _records: records, _bytes: bytes })
    }

    /// Counts records that don't enter.
    pub(crate) fn reject(&self, records: usize, error: SubmitError) -> SubmitError {
        self.meter.unanswered(records, &error);
        error
    }

    /// Nobody is made to wait for a storage that is known to be away.
    fn check_breaker(&self) -> Result<(), SubmitError> {
        match self.breaker.state() {
            BreakerState::Open => Err(self.intake.failure()),
            BreakerState::Closed | BreakerState::HalfOpen => Ok(()),
        }
    }

    async fn enter(&self, arrivals: Vec<Arrival>, room: Room, place: Option<Place>) -> Answer {
        if arrivals.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let (records, meter, since) = (arrivals.len(), Arc::clone(&self.meter), self.intake.now());
        let waiting = Waiting { arrivals, reply, room, meter, since, place };
        self.intake.push(self.lane, waiting).map_err(|error| self.reject(records, error))?;
        // The sender is dropped unanswered only if a task of the driver was, or has panicked.
        answer.await.unwrap_or_else(|_| Err(self.reject(records, SubmitError::Stopped)))
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
