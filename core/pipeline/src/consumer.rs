//! Consumes a queue: from a source through a ingress, each payload settled only after its commit or its dead letter.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::dependency::breaker::Breaker;
use crate::dependency::retry::RetryPolicy;
use crate::ingress::Ingress;
use crate::ingress::chunks::{OrderedChunks, Submission};
use crate::submit_error::SubmitError;
use backon::ExponentialBackoff;
use futures::future::{BoxFuture, Either, FutureExt as _, select};
use tallyhouse_core::ports::{
    Acknowledgement, Clock, DeadLetterReason, Delivery, Disposition, PortError, RecordRepository, RecordSource,
};
use tallyhouse_core::{Arrival, Field, Outcome, Record, Rejection, RejectionCode};
use tokio::sync::watch;

/// The longest payload that is taken from a queue, in bytes: as long as a record over HTTP may be.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// What a queue is consumed with.
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
/// // What is no record becomes a dead letter.
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
    /// Asked whether storage is back, before anything more is taken from the queue.
    pub repository: Arc<dyn RecordRepository>,
    /// The circuit breaker of the queue, by its name among [`crate::Pipeline::breakers`]: consumers of one queue share
    /// it.
    pub breaker: Breaker,
    /// How to wait.
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
    /// Consumes until `stop` becomes true, or is dropped. Several consumers of one queue may run at once. While what
    /// was taken is being committed, more is taken and submitted behind it: it is committed in the order in which it
    /// was taken.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let consumer = Arc::new(self);
        let looking = Hand::Looks(Arc::clone(&consumer).look(None, stop.clone()).boxed());
        let (waits, rounds) = (consumer.retry.waits(&*consumer.clock), OrderedChunks::new(&consumer.ingress));
        Work { consumer, stop, waits, pause: None, rounds, hand: looking }.run().await;
    }

    /// Waits until storage is there, and the queue; says whether they are.
    async fn look(self: Arc<Self>, pause: Option<Duration>, stop: watch::Receiver<bool>) -> Result<bool, Stopped> {
        unless_stopped(stop, async {
            if let Some(pause) = pause {
                self.clock.sleep(pause).await;
            }
            // While storage is away, nothing is taken.
            self.ingress.storage().usable().await;
            if self.storage_answers().await.is_err() {
                return false;
            }
            self.breaker.probe(|| self.source.ping()).await;
            true
        })
        .await
    }

    /// Waits for payloads; `None` if the queue fails.
    async fn take(self: Arc<Self>, stop: watch::Receiver<bool>) -> Result<Option<Vec<Delivery>>, Stopped> {
        let received = unless_stopped(stop, self.source.receive(self.ingress.chunk_records_max())).await?;
        Ok(match received {
            Ok(deliveries) => {
                self.breaker.succeeded();
                Some(deliveries)
            }
            Err(error) => {
                self.breaker.failed("a queue could not be read", &error);
                None
            }
        })
    }

    /// Takes payloads through the pipeline, and settles them once they are stored or refused.
    async fn process(self: Arc<Self>, sorted: Sorted, outcomes: Submission) -> Round {
        match self.judge(sorted, outcomes).await {
            Ok(settled) => Round::Finished(self.settle(settled).await),
            Err(given_back) => Round::Unstored(given_back),
        }
    }

    async fn storage_answers(&self) -> Result<(), PortError> {
        let storage = self.ingress.storage();
        let answer = storage.ask(self.repository.ping()).await;
        match &answer {
            Ok(()) => storage.answered(),
            Err(error) => storage.failed("storage does not answer", error),
        }
        answer
    }

    /// Waits for the outcomes of what was submitted, and says what is to become of each payload. If storage is away
    /// they are all to be given back, as an error, and nothing is put into the dead letters.
    async fn judge(&self, sorted: Sorted, outcomes: Submission) -> Result<Finished, Finished> {
        // Where there is no good record, only a question tells whether storage is there.
        let outcomes = if sorted.places.is_empty() {
            self.storage_answers()
                .await
                .map(|()| Vec::new())
                .map_err(|error| SubmitError::Unavailable(Some(Arc::new(error))))
        } else {
            outcomes.await
        };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(SubmitError::Unavailable(_) | SubmitError::Overloaded | SubmitError::Stopped) => {
                return Err(sorted.given_back());
            }
        };
        let Sorted { tags, places, mut dispositions, trace_id } = sorted;
        self.ingress.count_refused(dispositions.len());
        dispositions.extend(places.into_iter().zip(outcomes.iter().map(disposition)));
        let acknowledgements = tags.into_iter().enumerate().map(|(place, tag)| {
            let disposition = dispositions.remove(&place).unwrap_or(Disposition::Nack);
            Acknowledgement { tag, disposition }
        });
        Ok(Finished { acknowledgements: acknowledgements.collect(), trace_id })
    }

    /// Says whether the queue did it.
    async fn settle(&self, settled: Finished) -> bool {
        let Finished { acknowledgements, trace_id } = settled;
        let (payloads, refused) =
            (acknowledgements.len(), acknowledgements.iter().filter(|s| s.is_dead_letter()).count());
        match self.source.ack(acknowledgements).await {
            Ok(()) => {
                tracing::debug!(source = self.source.name(), trace_id, payloads, refused, "payloads are settled");
                true
            }
            Err(error) => {
                self.breaker.failed("a queue's payloads could not be settled", &error);
                false
            }
        }
    }
}

/// A consumer at work.
struct Work {
    consumer: Arc<Consumer>,
    stop: watch::Receiver<bool>,
    /// The waits after failures.
    waits: ExponentialBackoff,
    /// How long to wait before the next look.
    pause: Option<Duration>,
    /// What was taken, in its order.
    rounds: OrderedChunks<Round>,
    hand: Hand,
}

/// What takes from the queue.
enum Hand {
    /// Looks whether something may be taken.
    Looks(BoxFuture<'static, Result<bool, Stopped>>),
    /// Is about to take, when there is room.
    Ready,
    Takes(BoxFuture<'static, Result<Option<Vec<Delivery>>, Stopped>>),
    Stopped,
}

/// Nothing more is to be taken.
struct Stopped;

/// What became of what was taken at once.
enum Round {
    /// It is stored or refused; and whether the queue knows.
    Finished(bool),
    /// It could not be stored, and is to be given back.
    Unstored(Finished),
}

/// What happens to a consumer.
enum Event {
    Ended(Round),
    Looked(Result<bool, Stopped>),
    Taken(Result<Option<Vec<Delivery>>, Stopped>),
}

impl Work {
    async fn run(mut self) {
        loop {
            if matches!(self.hand, Hand::Ready) && self.rounds.has_room() {
                self.hand = Hand::Takes(Arc::clone(&self.consumer).take(self.stop.clone()).boxed());
            }
            match self.next().await {
                None => return,
                Some(Event::Looked(Err(Stopped)) | Event::Taken(Err(Stopped))) => self.hand = Hand::Stopped,
                Some(Event::Looked(Ok(true))) => self.hand = Hand::Ready,
                Some(Event::Looked(Ok(false)) | Event::Taken(Ok(None))) => {
                    self.fail();
                    self.look();
                }
                Some(Event::Taken(Ok(Some(deliveries)))) => {
                    self.process(deliveries);
                    self.look();
                }
                Some(Event::Ended(Round::Finished(true))) => self.succeed(),
                Some(Event::Ended(Round::Finished(false))) => {
                    self.fail();
                    if matches!(self.hand, Hand::Looks(_) | Hand::Ready) {
                        self.look();
                    }
                }
                Some(Event::Ended(Round::Unstored(settled))) => {
                    self.fail();
                    self.give_back(settled).await;
                }
            }
        }
    }

    /// Waits for what happens next; `None` if nothing will.
    async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| {
            if let Poll::Ready(Some(round)) = self.rounds.poll_next(context) {
                return Poll::Ready(Some(Event::Ended(round)));
            }
            match &mut self.hand {
                Hand::Looks(look) => look.poll_unpin(context).map(|looked| Some(Event::Looked(looked))),
                Hand::Takes(take) => take.poll_unpin(context).map(|taken| Some(Event::Taken(taken))),
                Hand::Ready | Hand::Stopped if self.rounds.is_empty() => Poll::Ready(None),
                Hand::Ready | Hand::Stopped => Poll::Pending,
            }
        })
        .await
    }

    fn look(&mut self) {
        let look = Arc::clone(&self.consumer).look(self.pause.take(), self.stop.clone());
        self.hand = Hand::Looks(look.boxed());
    }

    fn process(&mut self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return self.succeed();
        }
        let (sorted, arrivals) = sort(deliveries);
        let consumer = Arc::clone(&self.consumer);
        self.rounds.push(arrivals, |submission| consumer.process(sorted, submission));
    }

    /// Gives back what could not be stored, with all that was taken after it: at once, so that the queue has its order
    /// again.
    async fn give_back(&mut self, mut unstored: Finished) {
        while let Some(round) = self.rounds.next().await {
            match round {
                Round::Unstored(settled) => unstored.acknowledgements.extend(settled.acknowledgements),
                Round::Finished(_) => {}
            }
        }
        if let Hand::Takes(take) = &mut self.hand
            && let Ok(Some(deliveries)) = take.await
        {
            unstored.acknowledgements.extend(sort(deliveries).0.given_back().acknowledgements);
        }
        self.consumer.settle(unstored).await;
        self.rounds = OrderedChunks::new(&self.consumer.ingress);
        self.look();
    }

    fn succeed(&mut self) {
        self.waits = self.consumer.retry.waits(&*self.consumer.clock);
    }

    fn fail(&mut self) {
        self.pause = Some(self.waits.next().unwrap_or(self.consumer.retry.wait_max));
    }
}

/// Does something, unless a stop comes before it is done.
async fn unless_stopped<T>(mut stop: watch::Receiver<bool>, work: impl Future<Output = T>) -> Result<T, Stopped> {
    // An error says that the sender was dropped.
    match select(pin!(stop.wait_for(|stop| *stop)), pin!(work)).await {
        Either::Left(_) => Err(Stopped),
        Either::Right((done, _)) => Ok(done),
    }
}

/// What was taken: good records and others, by their places.
struct Sorted {
    tags: Vec<String>,
    /// Those of the good records.
    places: Vec<usize>,
    dispositions: HashMap<usize, Disposition>,
    /// Of the traces that they belong to, the log names the first.
    trace_id: Option<String>,
}

fn sort(deliveries: Vec<Delivery>) -> (Sorted, Vec<Arrival>) {
    let tags = deliveries.iter().map(|delivery| delivery.tag.clone()).collect();
    let (mut places, mut arrivals, mut dispositions) = (Vec::new(), Vec::new(), HashMap::new());
    for (place, delivery) in deliveries.into_iter().enumerate() {
        match parse(delivery.payload.as_deref()) {
            Ok(record) => {
                places.push(place);
                arrivals.push(Arrival { record, traceparent: delivery.traceparent });
            }
            Err(rejection) => {
                dispositions.insert(place, refusal(&rejection));
            }
        }
    }
    let trace_id = arrivals.iter().find_map(Arrival::trace_id).map(str::to_owned);
    (Sorted { tags, places, dispositions, trace_id }, arrivals)
}

impl Sorted {
    fn given_back(self) -> Finished {
        let back = |tag| Acknowledgement { tag, disposition: Disposition::Nack };
        Finished { acknowledgements: self.tags.into_iter().map(back).collect(), trace_id: self.trace_id }
    }
}

/// What is to become of what was taken.
struct Finished {
    acknowledgements: Vec<Acknowledgement>,
    trace_id: Option<String>,
}

fn parse(payload: Option<&[u8]>) -> Result<Record, Rejection> {
    let payload = payload.ok_or_else(|| Rejection::not_json("has no field \"record\""))?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Rejection::too_large(PAYLOAD_BYTES_MAX));
    }
    Record::from_json(payload)
}

fn disposition(outcome: &Outcome) -> Disposition {
    match outcome {
        Outcome::Processed(_) | Outcome::Duplicate { .. } => Disposition::Ack,
        Outcome::Conflict { differs, .. } => {
            let names: Vec<&str> = differs.iter().copied().map(Field::name).collect();
            let detail = format!("was processed before with other content: {}", names.join(", "));
            Disposition::DeadLetter { reason: DeadLetterReason::Conflict, detail }
        }
        Outcome::Rejected(rejection) => refusal(rejection),
    }
}

fn refusal(rejection: &Rejection) -> Disposition {
    let reason = match rejection.code {
        code @ (RejectionCode::NotJson | RejectionCode::TooLarge | RejectionCode::Rejected) => {
            DeadLetterReason::Rejection(code)
        }
    };
    Disposition::DeadLetter { reason, detail: rejection.detail() }
}

#[cfg(test)]
mod tests;
