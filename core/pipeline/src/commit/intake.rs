//! The bounded intake: where records wait until a writer is free.
//!
//! Each ingress has a lane with a capacity of its own, and writers serve the lanes round robin: a backlog of one ingress neither
//! fills the lane of another nor delays its records.
//!
//! A batch costs about as much as a hundred records, so two writers do not share records that fit into one batch. While a
//! commit is in flight, another begins only when enough records wait, or when the last one began a while ago.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::select;
use tallyhouse_core::Arrival;
use tallyhouse_core::ports::Clock;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::close_signal::CloseSignal;
use crate::commit::order::OrderSlot;
use crate::meter::IngressMeter;
use crate::settings::PipelineSettings;
use crate::submit_error::{Answer, SubmitError};

/// The longest wait of records for a commit that is in flight. That commit may itself wait for another instance's.
const JOIN_WAIT: Duration = Duration::from_millis(50);

/// A submission that waits for a writer.
#[derive(Debug)]
pub(crate) struct PendingSubmission {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// The permits that it holds.
    pub(crate) permits: IntakePermits,
    /// Where its answer is counted.
    pub(crate) meter: Arc<IngressMeter>,
    /// When it entered the intake, by the clock.
    pub(crate) since: Duration,
    /// Its slot in its sender's order, if it has one.
    pub(crate) order_slot: Option<OrderSlot>,
}

/// The permits of a submission in the intake; dropping them admits others.
#[derive(Debug)]
pub(crate) struct IntakePermits {
    pub(crate) _records: OwnedSemaphorePermit,
    pub(crate) _bytes: OwnedSemaphorePermit,
}

pub(crate) struct Intake {
    lanes: Mutex<Lanes>,
    /// Wakes writers.
    wake: Notify,
    closed: watch::Sender<bool>,
    clock: Arc<dyn Clock>,
    /// The number of waiting records from which another commit begins beside those in flight.
    join_records_min: usize,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Lanes {
    lanes: Vec<VecDeque<PendingSubmission>>,
    /// The semaphores of every ingress. They are closed when the intake stops, so that nobody waits for them.
    semaphores: Vec<Arc<Semaphore>>,
    /// The lane that is served next.
    next_lane: usize,
    /// The number of records that wait.
    records: usize,
    /// The number of commits in flight.
    commits_in_flight: usize,
    /// When the last of them began, by the clock.
    last_taken: Duration,
    closed: bool,
    /// Set when a task of the driver is gone: a writer may be missing.
    stopped: bool,
}

/// The submissions for one batch. The commit is in flight until `in_flight` is dropped.
#[derive(Debug)]
pub(crate) struct PendingBatch {
    pub(crate) waiting: Vec<PendingSubmission>,
    pub(crate) in_flight: CommitInFlight,
}

/// Counts a commit as in flight.
#[derive(Debug)]
pub(crate) struct CommitInFlight(Arc<Intake>);

impl Drop for CommitInFlight {
    fn drop(&mut self) {
        let mut lanes = self.0.lanes();
        lanes.commits_in_flight -= 1;
        let more = lanes.records > 0;
        drop(lanes);
        if more {
            self.0.wake.notify_one();
        }
    }
}

impl Intake {
    pub(crate) fn new(clock: Arc<dyn Clock>, settings: &PipelineSettings) -> Self {
        let (lanes, wake, closed) = (Mutex::default(), Notify::new(), watch::Sender::new(false));
        // A full batch does not grow by waiting.
        let join_records_min = settings.join_records_min.min(settings.batch_records_max);
        Self { lanes, wake, closed, clock, join_records_min }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // A panic elsewhere leaves the lanes whole: every change to them is a single push or pop.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a lane for an ingress with these semaphores.
    pub(crate) fn open_lane(&self, semaphores: [&Arc<Semaphore>; 2]) -> usize {
        let mut lanes = self.lanes();
        lanes.semaphores.extend(semaphores.map(Arc::clone));
        lanes.lanes.push(VecDeque::new());
        lanes.lanes.len() - 1
    }

    pub(crate) fn push(&self, lane: usize, waiting: PendingSubmission) -> Result<(), SubmitError> {
        let mut lanes = self.lanes();
        if lanes.closed {
            return Err(SubmitError::Stopped);
        }
        let was_empty = lanes.records == 0;
        lanes.records += waiting.arrivals.len();
        lanes.lanes[lane].push_back(waiting);
        // Otherwise a writer is awake already: woken by the first record, or committing and about to take more.
        let wakes = was_empty || lanes.commits_in_flight == 0 || lanes.records >= self.join_records_min;
        drop(lanes);
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits until a commit is due, and takes submissions of up to about `records_max` records. Returns `None` once the
    /// intake is closed and empty.
    pub(crate) async fn take(self: &Arc<Self>, records_max: usize) -> Option<PendingBatch> {
        loop {
            // Registered before the lanes are checked, so that a push or a close in between wakes this writer.
            let woken = self.wake.notified();
            let wait = {
                let mut lanes = self.lanes();
                let wait = lanes.wait(self.join_records_min, self.clock.elapsed());
                if wait.is_zero() {
                    let waiting = lanes.take(records_max);
                    lanes.commits_in_flight += 1;
                    lanes.last_taken = self.clock.elapsed();
                    let more = lanes.records > 0;
                    drop(lanes);
                    if more {
                        self.wake.notify_one();
                    }
                    return Some(PendingBatch { waiting, in_flight: CommitInFlight(Arc::clone(self)) });
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

    /// Refuses all further submissions. Those that wait are still taken.
    pub(crate) fn close(&self) {
        self.lanes().closed = true;
        self.wake.notify_waiters();
        self.closed.send_replace(true);
    }

    /// Fails every submission that no writer has taken, and refuses all further ones: a writer may be missing.
    pub(crate) fn stop(&self) {
        let (waiting, semaphores) = {
            let mut lanes = self.lanes();
            (lanes.closed, lanes.stopped, lanes.records) = (true, true, 0);
            let waiting: Vec<PendingSubmission> = lanes.lanes.iter_mut().flat_map(std::mem::take).collect();
            (waiting, std::mem::take(&mut lanes.semaphores))
        };
        semaphores.iter().for_each(|semaphore| semaphore.close());
        // A submission whose reply is dropped fails with `Stopped`.
        drop(waiting);
        self.close();
    }

    /// Returns the error of a submission that fails without an attempt to commit it.
    pub(crate) fn failure(&self) -> SubmitError {
        if self.lanes().stopped { SubmitError::Stopped } else { SubmitError::Unavailable(None) }
    }

    /// Returns the signal for tasks that have to end once the intake is closed.
    pub(crate) fn close_signal(&self) -> CloseSignal {
        CloseSignal::new(&self.closed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes().closed
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Returns the number of records that wait.
    pub(crate) fn depth(&self) -> usize {
        self.lanes().records
    }
}

impl Lanes {
    /// Returns the time until the next commit is due, unless something changes.
    fn wait(&self, join_records_min: usize, now: Duration) -> Duration {
        if self.records == 0 {
            Duration::MAX
        } else if self.commits_in_flight == 0 || self.closed || self.records >= join_records_min {
            Duration::ZERO
        } else {
            (self.last_taken + JOIN_WAIT).saturating_sub(now)
        }
    }

    /// Takes submissions from the lanes, round robin. The first may have any size; no further one may exceed
    /// `records_max` in total.
    fn take(&mut self, records_max: usize) -> Vec<PendingSubmission> {
        let (mut taken, mut records) = (Vec::new(), 0);
        let mut idle_lanes = 0;
        while idle_lanes < self.lanes.len() {
            let lane = self.next_lane % self.lanes.len();
            let fits =
                |waiting: &PendingSubmission| taken.is_empty() || records + waiting.arrivals.len() <= records_max;
            if self.lanes[lane].front().is_some_and(fits) {
                if let Some(waiting) = self.lanes[lane].pop_front() {
                    records += waiting.arrivals.len();
                    taken.push(waiting);
                }
                idle_lanes = 0;
            } else {
                idle_lanes += 1;
            }
            self.next_lane = lane + 1;
        }
        self.records -= records;
        taken
    }
}

/// The intake, shared by the pipeline and its ingresses. Dropping the last share closes the intake, since nobody can submit
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
