//! Consumes a queue: payloads go from a source through an ingress, and each is acknowledged after its commit or its dead
//! letter.

mod round;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use backon::ExponentialBackoff;
use futures::future::{BoxFuture, Either, FutureExt as _, select};
use tallyhouse_core::ports::{
    Acknowledgement, Clock, Delivery, Disposition, PortError, RecordRepository, RecordSource,
};
use tokio::sync::watch;

use crate::dependency::breaker::Breaker;
use crate::dependency::retry::RetryPolicy;
use crate::ingress::Ingress;
use crate::ingress::chunks::{OrderedChunks, Submission};
use crate::submit_error::SubmitError;
use round::{Acknowledgements, Round, disposition, parse_round};

pub use tallyhouse_core::ports::PAYLOAD_BYTES_MAX;

/// A consumer of a queue.
///
/// ```
/// # use std::sync::Arc;
/// # use tallyhouse_pipeline::{Pipeline, PipelineParts, TokioClock};
/// # use tallyhouse_testing::{MemoryRepository, ScriptedSource};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(TokioClock::start());
/// # let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// # let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository.clone(), clock.clone()));
/// # let work = tokio::spawn(driver.run());
/// use tallyhouse_pipeline::{Consumer, RetryPolicy, watch};
///
/// let queue = ScriptedSource::new(clock.clone());
/// queue.push(b"{}");
/// let (stop, stopped) = watch::channel(false);
/// let consumer = Consumer {
///     source: Arc::new(queue.another()),
///     ingress: pipeline.named_ingress("queue"),
///     repository,
///     breaker: pipeline.breakers().named("queue"),
///     clock,
///     retry: RetryPolicy::default(),
/// };
/// let consuming = tokio::spawn(consumer.run(stopped));
/// // A payload that is no record becomes a dead letter.
/// while queue.dead_letters().is_empty() {
///     tokio::task::yield_now().await;
/// }
/// stop.send(true)?;
/// consuming.await?;
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Consumer {
    /// The queue.
    pub source: Arc<dyn RecordSource>,
    /// The way into the pipeline.
    pub ingress: Ingress,
    /// Pinged before payloads are received: while storage is unavailable they stay in the queue.
    pub repository: Arc<dyn RecordRepository>,
    /// The circuit breaker of the queue, from [`crate::Pipeline::breakers`]. Consumers of one queue share it.
    pub breaker: Breaker,
    /// The clock that it waits by.
    pub clock: Arc<dyn Clock>,
    /// The waits after a failure.
    pub retry: RetryPolicy,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Consumes until `stop` becomes true, or is dropped. Several consumers of one queue may run at once. While payloads
    /// are being committed, the next ones are received and submitted; they are committed in the order of the queue.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let consumer = Arc::new(self);
        let receiver = Receiver::Checking(Arc::clone(&consumer).check(None, stop.clone()).boxed());
        let (waits, rounds) = (consumer.retry.waits(&*consumer.clock), OrderedChunks::new(&consumer.ingress));
        RunningConsumer { consumer, stop, waits, pause: None, rounds, receiver }.run().await;
    }

    /// Waits until neither breaker is open; returns whether storage answers a ping.
    async fn check(self: Arc<Self>, pause: Option<Duration>, stop: watch::Receiver<bool>) -> Result<bool, Stopped> {
        unless_stopped(stop, async {
            if let Some(pause) = pause {
                self.clock.sleep(pause).await;
            }
            self.ingress.storage().wait_while_open().await;
            if self.storage_answers().await.is_err() {
                return false;
            }
            self.breaker.probe(|| self.source.ping()).await;
            true
        })
        .await
    }

    /// Waits for payloads; returns `None` if the queue fails.
    async fn receive(self: Arc<Self>, stop: watch::Receiver<bool>) -> Result<Option<Vec<Delivery>>, Stopped> {
        let received = unless_stopped(stop, self.source.receive(self.ingress.chunk_records_max())).await?;
        Ok(match received {
            Ok(deliveries) => {
                self.breaker.record_success();
                Some(deliveries)
            }
            Err(error) => {
                self.breaker.record_failure("receiving from a queue failed", &error);
                None
            }
        })
    }

    /// Awaits the commit of one round's records, and acknowledges its payloads.
    async fn process(self: Arc<Self>, round: Round, submission: Submission) -> RoundResult {
        match self.dispositions(round, submission).await {
            Ok(acks) => RoundResult::Acknowledged(self.acknowledge(acks).await),
            Err(nacks) => RoundResult::Unstored(nacks),
        }
    }

    async fn storage_answers(&self) -> Result<(), PortError> {
        let storage = self.ingress.storage();
        let answer = storage.ping(self.repository.ping()).await;
        match &answer {
            Ok(()) => storage.record_ping_success(),
            Err(error) => storage.record_failure("a ping is not answered", error),
        }
        answer
    }

    /// Awaits the outcomes, and returns the acknowledgement of each payload. If storage is unavailable, all payloads are
    /// nacked, as an error, and none becomes a dead letter.
    async fn dispositions(&self, round: Round, submission: Submission) -> Result<Acknowledgements, Acknowledgements> {
        // A round without records has no commit that would show whether storage is available.
        let outcomes = if round.record_indexes.is_empty() {
            self.storage_answers()
                .await
                .map(|()| Vec::new())
                .map_err(|error| SubmitError::Unavailable(Some(Arc::new(error))))
        } else {
            submission.await
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(SubmitError::Unavailable(_) | SubmitError::Overloaded | SubmitError::Stopped) => {
                return Err(round.nack());
            }
        };
        let Round { tags, record_indexes, mut dispositions, trace_id } = round;
        self.ingress.count_refused(dispositions.len());
        dispositions.extend(record_indexes.into_iter().zip(outcomes.iter().map(disposition)));
        let acknowledgements = tags.into_iter().enumerate().map(|(index, tag)| {
            let disposition = dispositions.remove(&index).unwrap_or(Disposition::Nack);
            Acknowledgement { tag, disposition }
        });
        Ok(Acknowledgements { list: acknowledgements.collect(), trace_id })
    }

    /// Acknowledges payloads; returns whether the queue did it.
    async fn acknowledge(&self, acknowledgements: Acknowledgements) -> bool {
        let Acknowledgements { list, trace_id } = acknowledgements;
        let (payloads, dead_letters) = (list.len(), list.iter().filter(|ack| ack.is_dead_letter()).count());
        match self.source.ack(list).await {
            Ok(()) => {
                tracing::debug!(
                    source = self.source.name(),
                    trace_id,
                    payloads,
                    dead_letters,
                    "payloads are acknowledged"
                );
                true
            }
            Err(error) => {
                self.breaker.record_failure("acknowledging payloads of a queue failed", &error);
                false
            }
        }
    }
}

/// A running consumer.
struct RunningConsumer {
    consumer: Arc<Consumer>,
    stop: watch::Receiver<bool>,
    /// The waits after failures.
    waits: ExponentialBackoff,
    /// How long to wait before the next check.
    pause: Option<Duration>,
    /// The payloads in flight, in the order of the queue.
    rounds: OrderedChunks<RoundResult>,
    receiver: Receiver,
}

/// The side that receives from the queue.
enum Receiver {
    /// Checks that storage and queue are available.
    Checking(BoxFuture<'static, Result<bool, Stopped>>),
    /// Receives as soon as a further round may be in flight.
    Ready,
    Receiving(BoxFuture<'static, Result<Option<Vec<Delivery>>, Stopped>>),
    Stopped,
}

/// The consumer is to stop.
struct Stopped;

/// The result of one round.
enum RoundResult {
    /// Every payload is stored or a dead letter. False if the queue did not acknowledge it.
    Acknowledged(bool),
    /// The records could not be stored: these payloads have to go back into the queue.
    Unstored(Acknowledgements),
}

/// The events that end a wait of the consumer.
enum Event {
    RoundEnded(RoundResult),
    Checked(Result<bool, Stopped>),
    Received(Result<Option<Vec<Delivery>>, Stopped>),
}

impl RunningConsumer {
    async fn run(mut self) {
        loop {
            if matches!(self.receiver, Receiver::Ready) && self.rounds.has_capacity() {
                self.receiver = Receiver::Receiving(Arc::clone(&self.consumer).receive(self.stop.clone()).boxed());
            }
            match self.next().await {
                None => return,
                Some(Event::Checked(Err(Stopped)) | Event::Received(Err(Stopped))) => self.receiver = Receiver::Stopped,
                Some(Event::Checked(Ok(true))) => self.receiver = Receiver::Ready,
                Some(Event::Checked(Ok(false)) | Event::Received(Ok(None))) => {
                    self.back_off();
                    self.check();
                }
                Some(Event::Received(Ok(Some(deliveries)))) => {
                    self.process(deliveries);
                    self.check();
                }
                Some(Event::RoundEnded(RoundResult::Acknowledged(true))) => self.reset_backoff(),
                Some(Event::RoundEnded(RoundResult::Acknowledged(false))) => {
                    self.back_off();
                    if matches!(self.receiver, Receiver::Checking(_) | Receiver::Ready) {
                        self.check();
                    }
                }
                Some(Event::RoundEnded(RoundResult::Unstored(nacks))) => {
                    self.back_off();
                    self.nack(nacks).await;
                }
            }
        }
    }

    /// Waits for the next event; returns `None` when the consumer has stopped and every round has ended.
    async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| {
            if let Poll::Ready(Some(round)) = self.rounds.poll_next(context) {
                return Poll::Ready(Some(Event::RoundEnded(round)));
            }
            match &mut self.receiver {
                Receiver::Checking(check) => check.poll_unpin(context).map(|checked| Some(Event::Checked(checked))),
                Receiver::Receiving(receive) => receive.poll_unpin(context).map(|got| Some(Event::Received(got))),
                Receiver::Ready | Receiver::Stopped if self.rounds.is_empty() => Poll::Ready(None),
                Receiver::Ready | Receiver::Stopped => Poll::Pending,
            }
        })
        .await
    }

    fn check(&mut self) {
        let check = Arc::clone(&self.consumer).check(self.pause.take(), self.stop.clone());
        self.receiver = Receiver::Checking(check.boxed());
    }

    fn process(&mut self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return self.reset_backoff();
        }
        let (round, arrivals) = parse_round(deliveries);
        let consumer = Arc::clone(&self.consumer);
        self.rounds.push(arrivals, |submission| consumer.process(round, submission));
    }

    /// Nacks payloads that could not be stored, together with all payloads that were received after them: in one call, so
    /// that the queue gets back its order.
    async fn nack(&mut self, mut unstored: Acknowledgements) {
        while let Some(result) = self.rounds.next().await {
            match result {
                RoundResult::Unstored(nacks) => unstored.list.extend(nacks.list),
                RoundResult::Acknowledged(_) => {}
            }
        }
        if let Receiver::Receiving(receive) = &mut self.receiver
            && let Ok(Some(deliveries)) = receive.await
        {
            unstored.list.extend(parse_round(deliveries).0.nack().list);
        }
        self.consumer.acknowledge(unstored).await;
        self.rounds = OrderedChunks::new(&self.consumer.ingress);
        self.check();
    }

    fn reset_backoff(&mut self) {
        self.waits = self.consumer.retry.waits(&*self.consumer.clock);
    }

    fn back_off(&mut self) {
        self.pause = Some(self.waits.next().unwrap_or(self.consumer.retry.wait_max));
    }
}

/// Does some work, unless the consumer is stopped before the work is done.
async fn unless_stopped<T>(mut stop: watch::Receiver<bool>, work: impl Future<Output = T>) -> Result<T, Stopped> {
    // An error says that the sender was dropped, which is a stop, too.
    match select(pin!(stop.wait_for(|stop| *stop)), pin!(work)).await {
        Either::Left(_) => Err(Stopped),
        Either::Right((done, _)) => Ok(done),
    }
}

#[cfg(test)]
mod tests;
