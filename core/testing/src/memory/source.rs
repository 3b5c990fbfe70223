//! An in-memory queue whose receives and acknowledgements a test can make fail.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use tallyhouse_core::Rejection;
use tallyhouse_core::ports::{
    Acknowledgement, Clock, DeadLetter, Delivery, Disposition, PortError, PortErrorKind, RecordSource,
};
use tokio::sync::Notify;

/// How long a consumer waits at an empty queue before it returns nothing, by its clock.
const WAIT: Duration = Duration::from_secs(1);

/// One consumer of a queue in memory that tests fill, make fail, and inspect. When it is dropped, its unacknowledged
/// deliveries go to the others.
pub struct ScriptedSource {
    queue: Arc<Queue>,
    /// Which consumer this is.
    consumer: u64,
}

struct Queue {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    arrived: Notify,
    consumers: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// The deliveries that are not acknowledged, by tag.
    in_flight: BTreeMap<String, InFlight>,
    deliveries: u64,
    dead_letters: Vec<DeadLetter>,
    receives_to_fail: usize,
    acks_to_fail: usize,
}

struct Entry {
    payload: Option<Vec<u8>>,
    traceparent: Option<String>,
}

struct InFlight {
    consumer: u64,
    entry: Entry,
}

impl ScriptedSource {
    /// Makes an empty queue with a first consumer, which waits by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (state, arrived, consumers) = (Mutex::default(), Notify::new(), AtomicU64::new(0));
        Self { queue: Arc::new(Queue { clock, state, arrived, consumers }), consumer: 0 }
    }

    /// Makes another consumer of the same queue.
    #[must_use]
    pub fn another(&self) -> Self {
        let consumer = self.queue.consumers.fetch_add(1, Ordering::Relaxed) + 1;
        Self { queue: Arc::clone(&self.queue), consumer }
    }

    /// Appends a payload.
    pub fn push(&self, payload: &[u8]) {
        self.push_entry(Some(payload), None);
    }

    /// Appends an entry, which may have no payload, or a trace context.
    pub fn push_entry(&self, payload: Option<&[u8]>, traceparent: Option<&str>) {
        let entry = Entry { payload: payload.map(<[u8]>::to_vec), traceparent: traceparent.map(str::to_owned) };
        self.queue.state().waiting.push_back(entry);
        self.queue.arrived.notify_waiters();
    }

    /// Makes the next calls of `receive`, by any consumer, fail as unavailable.
    pub fn fail_next_receives(&self, calls: usize) {
        self.queue.state().receives_to_fail = calls;
    }

    /// Makes the next calls of `ack`, by any consumer, fail as unavailable, with nothing acknowledged.
    pub fn fail_next_acks(&self, calls: usize) {
        self.queue.state().acks_to_fail = calls;
    }

    /// Returns how many payloads are in the queue: those that wait, and those that are not acknowledged.
    #[must_use]
    pub fn kept(&self) -> usize {
        let state = self.queue.state();
        state.waiting.len() + state.in_flight.len()
    }

    /// Returns the dead letters, oldest first.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.queue.state().dead_letters.clone()
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, consumer: u64, max: usize) -> Vec<Delivery> {
        let taken = max.min(self.waiting.len());
        let entries: Vec<Entry> = self.waiting.drain(..taken).collect();
        let deliver = |entry: Entry| {
            self.deliveries += 1;
            // Padded, so that the tags sort in the order of the deliveries.
            let tag = format!("{:020}", self.deliveries);
            let payload = entry.payload.clone().ok_or_else(|| Rejection::not_json("has no field \"record\""));
            let traceparent = entry.traceparent.clone();
            self.in_flight.insert(tag.clone(), InFlight { consumer, entry });
            Delivery { tag, payload, traceparent }
        };
        entries.into_iter().map(deliver).collect()
    }

    fn ack(&mut self, acknowledgement: Acknowledgement, origin: &str, at: &str) {
        // It was acknowledged before, or delivered to another consumer since.
        let Some(InFlight { entry, .. }) = self.in_flight.remove(&acknowledgement.tag) else { return };
        match acknowledgement.disposition {
            Disposition::Ack => {}
            Disposition::DeadLetter { reason, detail } => self.dead_letters.push(DeadLetter {
                id: acknowledgement.tag,
                payload: entry.payload.unwrap_or_default(),
                reason: reason.name().to_owned(),
                detail,
                origin: origin.to_owned(),
                at: at.to_owned(),
            }),
            Disposition::Nack => self.waiting.push_front(entry),
        }
    }

    /// Puts the deliveries of a consumer before those that wait, in their old order.
    fn abandon(&mut self, consumer: u64) {
        let tags: Vec<String> = self
            .in_flight
            .iter()
            .filter(|(_, delivery)| delivery.consumer == consumer)
            .map(|(tag, _)| tag.clone())
            .collect();
        for tag in tags.iter().rev() {
            self.waiting.extend(self.in_flight.remove(tag).map(|delivery| delivery.entry));
            self.waiting.rotate_right(1);
        }
    }
}

impl Drop for ScriptedSource {
    fn drop(&mut self) {
        self.queue.state().abandon(self.consumer);
        self.queue.arrived.notify_waiters();
    }
}

impl fmt::Debug for ScriptedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSource").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

#[async_trait]
impl RecordSource for ScriptedSource {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, PortError> {
        let mut enough = pin!(self.queue.clock.sleep(WAIT));
        loop {
            // Wait for arrivals before looking, so that none is missed in between.
            let mut arrived = pin!(self.queue.arrived.notified());
            arrived.as_mut().enable();
            {
                let mut state = self.queue.state();
                fail_if_told(&mut state.receives_to_fail, "receiving")?;
                let deliveries = state.take(self.consumer, max);
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
            }
            match select(arrived, enough.as_mut()).await {
                Either::Left(((), _)) => {}
                Either::Right(((), _)) => return Ok(Vec::new()),
            }
        }
    }

    async fn ack(&self, acknowledgements: Vec<Acknowledgement>) -> Result<(), PortError> {
        let at = self.queue.clock.now().to_string();
        let mut state = self.queue.state();
        fail_if_told(&mut state.acks_to_fail, "acknowledging")?;
        // From the last to the first, so that nacked payloads are in their old order.
        acknowledgements.into_iter().rev().for_each(|acknowledgement| state.ack(acknowledgement, self.name(), &at));
        drop(state);
        self.queue.arrived.notify_waiters();
        Ok(())
    }
}

fn fail_if_told(calls: &mut usize, what: &'static str) -> Result<(), PortError> {
    if *calls == 0 {
        return Ok(());
    }
    *calls -= 1;
    Err(PortError::new(PortErrorKind::Unavailable, what, "the test wants a failure"))
}

#[cfg(test)]
mod tests;
