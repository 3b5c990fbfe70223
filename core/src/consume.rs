//! Consumes a queue: from a source through a door, each payload settled only after its commit or its dead letter.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use backon::ExponentialBackoff;
use futures::future::{Either, join, select};
use tokio::sync::{Mutex, watch};

use crate::breaker::Breaker;
use crate::intake::{Door, SubmitError};
use crate::outcome::Outcome;
use crate::plan::Arrival;
use crate::ports::{Clock, Delivery, PortError, RecordRepository, RecordSource, RefusalReason, Settlement, Verdict};
use crate::record::{Field, Record};
use crate::reject::{Rejection, RejectionCode};
use crate::retry::RetryPolicy;

/// The longest payload that is taken from a queue, in bytes: as long as a record over HTTP may be.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// What a queue is consumed with.
#[derive(Clone)]
pub struct Consumer {
    /// The queue.
    pub source: Arc<dyn RecordSource>,
    /// The way into the pipeline.
    pub door: Door,
    /// Asked whether storage is back, before anything more is taken from the queue.
    pub repository: Arc<dyn RecordRepository>,
    /// The circuit breaker of the queue, by its name among [`crate::Pipeline::breakers`]: consumers of one queue share it.
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

/// What the two hands of a consumer share.
struct Hands {
    /// Had by the one that takes from the queue, with the waits after a failure.
    taking: Mutex<ExponentialBackoff>,
    /// Had by the one whose records are being committed: in the order in which they were taken. Says whether the last ones
    /// could not be, and are about to be given back.
    turn: Mutex<bool>,
}

impl Consumer {
    /// Consumes until `stop` becomes true, or is dropped. Several consumers of one queue may run at once. While what was
    /// taken is being committed, as much again is taken; and it is committed in the order in which it was taken.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let hands = Hands { taking: Mutex::new(self.retry.waits(&*self.clock)), turn: Mutex::new(false) };
        join(self.work(&hands, stop.clone()), self.work(&hands, stop)).await;
    }

    async fn work(&self, hands: &Hands, mut stop: watch::Receiver<bool>) {
        loop {
            let mut waits = hands.taking.lock().await;
            if *stop.borrow_and_update() {
                return;
            }
            // A stop ends the wait for more; what has been received is settled first.
            let received = match select(pin!(self.receive()), pin!(stop.changed())).await {
                Either::Left((received, _)) => received,
                Either::Right((Ok(()), _)) => continue,
                Either::Right((Err(_dropped), _)) => return,
            };
            let step = match received {
                Some(deliveries) if deliveries.is_empty() => Step::Settled,
                Some(deliveries) => {
                    let sorted = Sorted::of(deliveries);
                    let mut gives_back = hands.turn.lock().await;
                    if *gives_back {
                        // The later ones go back first, so that the queue has its order again.
                        drop(gives_back);
                        self.settle(sorted.given_back()).await;
                        continue;
                    }
                    drop(waits);
                    let settled = self.submit(sorted).await;
                    let given_back = matches!(settled.step, Step::GivenBack);
                    *gives_back = given_back;
                    drop(gives_back);
                    if given_back {
                        waits = hands.taking.lock().await;
                        let step = self.settle(settled).await;
                        *hands.turn.lock().await = false;
                        step
                    } else {
                        let step = self.settle(settled).await;
                        waits = hands.taking.lock().await;
                        step
                    }
                }
                None => Step::Failed,
            };
            match step {
                Step::Settled => *waits = self.retry.waits(&*self.clock),
                Step::GivenBack | Step::Failed => {
                    let wait = waits.next().unwrap_or(self.retry.wait_max);
                    self.pause(wait, &mut stop).await;
                }
            }
        }
    }

    /// Waits until storage is there, and the queue, and then for payloads; `None` if one of them fails.
    async fn receive(&self) -> Option<Vec<Delivery>> {
        let storage = self.door.storage();
        // While storage is away, nothing is taken.
        storage.usable().await;
        self.storage_answers().await.ok()?;
        self.breaker.probe(|| self.source.ping()).await;
        match self.source.receive(self.door.chunk_records_max()).await {
            Ok(deliveries) => {
                self.breaker.succeeded();
                Some(deliveries)
            }
            Err(error) => {
                self.breaker.failed("a queue could not be read", &error);
                None
            }
        }
    }

    async fn storage_answers(&self) -> Result<(), PortError> {
        let storage = self.door.storage();
        let answer = storage.ask(self.repository.ping()).await;
        match &answer {
            Ok(()) => storage.answered(),
            Err(error) => storage.failed("storage does not answer", error),
        }
        answer
    }

    /// Takes deliveries through the pipeline, and says what is to become of each. If storage is away they are all given
    /// back, and nothing is put into the dead letters.
    async fn submit(&self, sorted: Sorted) -> Settled {
        let Sorted { tags, places, arrivals, mut verdicts } = sorted;
        // Of the traces that they belong to, the log names the first.
        let trace_id = arrivals.iter().find_map(Arrival::trace_id).map(str::to_owned);
        // Where there is no good record, only a question tells whether storage is there.
        let outcomes = if arrivals.is_empty() {
            self.storage_answers().await.map(|()| Vec::new()).map_err(|_| SubmitError::Unavailable)
        } else {
            self.door.submit(arrivals).await
        };
        let refused = verdicts.len();
        match outcomes {
            Ok(outcomes) => verdicts.extend(places.into_iter().zip(outcomes.iter().map(verdict))),
            Err(SubmitError::Unavailable | SubmitError::Overloaded | SubmitError::Stopped) => verdicts.clear(),
        }
        if !verdicts.is_empty() {
            self.door.count_refused(refused);
        }
        let step = if verdicts.is_empty() { Step::GivenBack } else { Step::Settled };
        let settlements = tags.into_iter().enumerate().map(|(place, tag)| {
            let verdict = verdicts.remove(&place).unwrap_or(Verdict::Return);
            Settlement { tag, verdict }
        });
        Settled { settlements: settlements.collect(), trace_id, step }
    }

    async fn settle(&self, settled: Settled) -> Step {
        let Settled { settlements, trace_id, step } = settled;
        let (payloads, refused) = (settlements.len(), settlements.iter().filter(|s| s.is_refusal()).count());
        match self.source.settle(settlements).await {
            Ok(()) => {
                tracing::debug!(source = self.source.name(), trace_id, payloads, refused, "payloads are settled");
                step
            }
            Err(error) => {
                self.breaker.failed("a queue's payloads could not be settled", &error);
                Step::Failed
            }
        }
    }

    async fn pause(&self, wait: std::time::Duration, stop: &mut watch::Receiver<bool>) {
        select(pin!(self.clock.sleep(wait)), pin!(stop.changed())).await;
    }
}

/// What was received: good records and others, by their places.
struct Sorted {
    tags: Vec<String>,
    places: Vec<usize>,
    arrivals: Vec<Arrival>,
    verdicts: HashMap<usize, Verdict>,
}

impl Sorted {
    fn of(deliveries: Vec<Delivery>) -> Self {
        let tags = deliveries.iter().map(|delivery| delivery.tag.clone()).collect();
        let mut sorted = Self { tags, places: Vec::new(), arrivals: Vec::new(), verdicts: HashMap::new() };
        for (place, delivery) in deliveries.into_iter().enumerate() {
            let traceparent = delivery.traceparent;
            match parse(delivery.payload.as_deref()) {
                Ok(record) => {
                    sorted.places.push(place);
                    sorted.arrivals.push(Arrival { record, traceparent });
                }
                Err(rejection) => {
                    sorted.verdicts.insert(place, refusal(&rejection));
                }
            }
        }
        sorted
    }

    fn given_back(self) -> Settled {
        let back = |tag| Settlement { tag, verdict: Verdict::Return };
        Settled { settlements: self.tags.into_iter().map(back).collect(), trace_id: None, step: Step::GivenBack }
    }
}

/// What is to become of what was received.
struct Settled {
    settlements: Vec<Settlement>,
    trace_id: Option<String>,
    /// How the round ends if they can be settled.
    step: Step,
}

/// How one round ended.
enum Step {
    /// Nothing came, or what came is settled.
    Settled,
    /// What came could not be stored, and is in the queue again.
    GivenBack,
    /// Storage or the queue failed; its breaker knows.
    Failed,
}

fn parse(payload: Option<&[u8]>) -> Result<Record, Rejection> {
    let payload = payload.ok_or_else(|| Rejection::not_json("has no field \"record\""))?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Rejection::too_large(PAYLOAD_BYTES_MAX));
    }
    Record::from_json(payload)
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Processed(_) | Outcome::Duplicate { .. } => Verdict::Done,
        Outcome::Conflict { differs, .. } => {
            let names: Vec<&str> = differs.iter().copied().map(Field::name).collect();
            let detail = format!("was processed before with other content: {}", names.join(", "));
            Verdict::Refused { reason: RefusalReason::Conflict, detail }
        }
        Outcome::Rejected(rejection) => refusal(rejection),
    }
}

fn refusal(rejection: &Rejection) -> Verdict {
    let reason = match rejection.code {
        code @ (RejectionCode::NotJson | RejectionCode::TooLarge | RejectionCode::Rejected) => {
            RefusalReason::Rejection(code)
        }
    };
    Verdict::Refused { reason, detail: rejection.detail() }
}

#[cfg(test)]
mod tests;
