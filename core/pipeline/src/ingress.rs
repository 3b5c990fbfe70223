//! The ways into the pipeline, each with a capacity of its own in the intake.

use std::sync::Arc;

use tallyhouse_core::Arrival;
use tokio::sync::{Semaphore, oneshot};

use crate::commit::intake::{IntakeHandle, IntakePermits, PendingSubmission};
use crate::commit::order::OrderSlot;
use crate::dependency::breaker::{Breaker, BreakerState};
use crate::meter::{self, IngressMeter, Meter};
use crate::settings::PipelineSettings;
use crate::submit_error::{Answer, SubmitError};

// For long input of one sender. Read in this order.
pub(crate) mod ordered;
pub(crate) mod chunks;

/// A way into the pipeline, with a capacity of its own in the intake. Clones share it.
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
        let capacity = |semaphore: &Arc<Semaphore>, max| meter::Capacity { semaphore: Arc::clone(semaphore), max };
        Self {
            meter: meter.open(
                name,
                capacity(&records, settings.intake_records_max),
                capacity(&bytes, settings.intake_bytes_max),
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

    /// Returns the most records that a submission should have: as many as are committed together.
    #[must_use]
    pub fn chunk_records_max(&self) -> usize {
        self.chunk_records_max
    }

    /// Submits records, waiting for capacity, and returns one outcome for each once they are committed.
    ///
    /// If the call is cancelled, the records may be committed nevertheless.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] or [`SubmitError::Stopped`]; submitting again is safe.
    pub async fn submit(&self, arrivals: Vec<Arrival>) -> Answer {
        self.submit_at(arrivals, None).await
    }

    pub(crate) async fn submit_at(&self, arrivals: Vec<Arrival>, order_slot: Option<OrderSlot>) -> Answer {
        match self.acquire(&arrivals).await {
            Ok(permits) => self.enter(arrivals, permits, order_slot).await,
            Err(error) => Err(self.reject(arrivals.len(), error)),
        }
    }

    /// Submits records as [`Ingress::submit`] does, but fails at once if the intake is full.
    ///
    /// # Errors
    /// Any [`SubmitError`]; submitting again is safe.
    pub async fn submit_now(&self, arrivals: Vec<Arrival>) -> Answer {
        match self.try_acquire(&arrivals) {
            Ok(permits) => self.enter(arrivals, permits, None).await,
            Err(error) => Err(self.reject(arrivals.len(), error)),
        }
    }

    /// Counts records that the host rejected before it could submit them, e.g. invalid JSON.
    pub fn count_refused(&self, records: usize) {
        self.meter.refused(records);
    }

    /// Counts records whose predecessors failed.
    pub(crate) fn reject_successor(&self, records: usize) -> SubmitError {
        self.reject(records, self.intake.failure())
    }

    /// Returns the breaker of storage.
    pub(crate) fn storage(&self) -> &Breaker {
        &self.breaker
    }

    /// Waits for permits.
    async fn acquire(&self, arrivals: &[Arrival]) -> Result<IntakePermits, SubmitError> {
        self.check_breaker()?;
        let (records, bytes) = self.permits_needed(arrivals);
        // The semaphores are closed when the intake stops.
        let records = Arc::clone(&self.records).acquire_many_owned(records).await.map_err(|_| SubmitError::Stopped)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| SubmitError::Stopped)?;
        Ok(IntakePermits { _records: records, _bytes: bytes })
    }

    /// Takes permits, if enough are free.
    fn try_acquire(&self, arrivals: &[Arrival]) -> Result<IntakePermits, SubmitError> {
        self.check_breaker()?;
        let (records, bytes) = self.permits_needed(arrivals);
        let full = |_| if self.intake.is_closed() { SubmitError::Stopped } else { SubmitError::Overloaded };
        let records = Arc::clone(&self.records).try_acquire_many_owned(records).map_err(full)?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).map_err(full)?;
        Ok(IntakePermits { _records: records, _bytes: bytes })
    }

    /// Counts records that do not enter the intake.
    pub(crate) fn reject(&self, records: usize, error: SubmitError) -> SubmitError {
        self.meter.unanswered(records, &error);
        error
    }

    /// Fails at once if storage is known to be unavailable.
    fn check_breaker(&self) -> Result<(), SubmitError> {
        match self.breaker.state() {
            BreakerState::Open => Err(self.intake.failure()),
            BreakerState::Closed | BreakerState::HalfOpen => Ok(()),
        }
    }

    async fn enter(&self, arrivals: Vec<Arrival>, permits: IntakePermits, order_slot: Option<OrderSlot>) -> Answer {
        if arrivals.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let (records, meter, since) = (arrivals.len(), Arc::clone(&self.meter), self.intake.now());
        let waiting = PendingSubmission { arrivals, reply, permits, meter, since, order_slot };
        self.intake.push(self.lane, waiting).map_err(|error| self.reject(records, error))?;
        // The sender is dropped without an answer only if a task of the driver is gone.
        answer.await.unwrap_or_else(|_| Err(self.reject(records, SubmitError::Stopped)))
    }

    /// Returns the permits that a submission needs, of records and of bytes. One that is larger than the intake needs all of
    /// them, and enters once it is alone.
    fn permits_needed(&self, arrivals: &[Arrival]) -> (u32, u32) {
        let records = arrivals.len().min(self.records_max);
        let bytes: usize = arrivals.iter().map(|arrival| arrival.record.weight()).sum();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (count(records), count(bytes.min(self.bytes_max)))
    }
}
