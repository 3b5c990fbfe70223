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

use crate::closing::Closing;
use crate::commit::order::Place;
use crate::meter::IngressMeter;
use crate::settings::PipelineSettings;
use crate::submit_error::{Answer, SubmitError};
use futures::future::select;
use tallyhouse_core::Arrival;
use tallyhouse_core::ports::Clock;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

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

/// Room in the intake, which is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) _records: OwnedSemaphorePermit,
    pub(crate) _bytes: OwnedSemaphorePermit,
}

pub(crate) struct Intake {
    lanes: Mutex<Lanes>,
    waiting: Notify,
    closed: watch::Sender<bool>,
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
        let (lanes, waiting, closed) = (Mutex::default(), Notify::new(), watch::Sender::new(false));
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

    pub(crate) fn push(&self, lane: usize, waiting: Waiting) -> Result<(), SubmitError> {
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
        self.closed.send_replace(true);
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

    /// Returns the signal for tasks that have to end once the intake is closed.
    pub(crate) fn closing(&self) -> Closing {
        Closing::new(&self.closed)
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

#[cfg(test)]
mod tests;
