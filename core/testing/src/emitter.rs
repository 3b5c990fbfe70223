//! An emitter that remembers, and the conformance suite of [`MessageEmitter`]: what every way out must do, run
//! unchanged against each.
//!
//! An adapter implements [`EmitterFixture`] and calls [`emitter_conformance!`](crate::emitter_conformance) in a test
//! module. Its crate needs tokio's `macros`, `rt-multi-thread` and `time` among its dev-dependencies.

pub mod cases;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tallyhouse_core::ports::{MessageEmitter, PortError, PortErrorKind};
use tallyhouse_core::{Message, MessageFormat, Topic};
use tokio::sync::watch;

/// Another side of its own for one case, that keeps what arrives.
#[async_trait]
pub trait EmitterFixture: Send + Sync + Sized {
    /// Makes another side that listens to both topics and shares nothing with any other. Dropping the fixture takes it
    /// away.
    async fn fresh() -> Self;

    /// Returns an emitter with the default [`MessageFormat`]: at each call another one, as another running instance
    /// would have it.
    async fn emitter(&self) -> Arc<dyn MessageEmitter>;

    /// Returns all that has arrived on a topic so far, oldest first, once that is at least `count` messages.
    async fn arrived(&self, topic: Topic, count: usize) -> Vec<String>;
}

/// Makes a test of every case of the emitter's conformance suite, for a type that implements
/// [`EmitterFixture`](crate::EmitterFixture).
///
/// ```
/// mod conformance {
///     tallyhouse_core::emitter_conformance!(tallyhouse_core::testing::RecordingFixture);
/// }
/// ```
#[macro_export]
macro_rules! emitter_conformance {
    ($fixture:ty) => {
        $crate::conformance_tests! { $fixture, emitter;
            cases::messages_arrive_in_order_on_their_topics;
            cases::messages_arrive_to_the_letter;
            cases::nothing_to_emit_is_no_error;
            cases::a_repetition_is_the_same_to_the_letter;
            cases::many_messages_at_once_arrive_each_once;
        }
    };
}

/// Keeps every message that it is given, and fails when it is told to.
#[derive(Debug)]
pub struct RecordingEmitter {
    messages: Mutex<Vec<Message>>,
    calls_to_fail: Mutex<usize>,
    count: watch::Sender<usize>,
}

impl RecordingEmitter {
    /// Makes an emitter that has emitted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { messages: Mutex::default(), calls_to_fail: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Returns what was emitted so far, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.messages).clone()
    }

    /// Waits until at least `count` messages have been emitted.
    pub async fn until(&self, count: usize) {
        let mut emitted = self.count.subscribe();
        // The sender lives as long as `self`, so the wait ends well.
        let _reached = emitted.wait_for(|emitted| *emitted >= count).await;
    }

    /// Makes the next calls fail as unavailable, with nothing emitted.
    pub fn fail_next(&self, calls: usize) {
        *lock(&self.calls_to_fail) = calls;
    }
}

impl Default for RecordingEmitter {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl MessageEmitter for RecordingEmitter {
    async fn emit(&self, messages: &[Message]) -> Result<(), PortError> {
        let mut calls = lock(&self.calls_to_fail);
        if *calls > 0 {
            *calls -= 1;
            return Err(PortError::new(PortErrorKind::Unavailable, "emitting", "the test wants a failure"));
        }
        let mut emitted = lock(&self.messages);
        emitted.extend_from_slice(messages);
        self.count.send_replace(emitted.len());
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fixture of [`RecordingEmitter`].
#[derive(Debug)]
pub struct RecordingFixture {
    emitter: Arc<RecordingEmitter>,
}

#[async_trait]
impl EmitterFixture for RecordingFixture {
    async fn fresh() -> Self {
        Self { emitter: Arc::default() }
    }

    async fn emitter(&self) -> Arc<dyn MessageEmitter> {
        Arc::clone(&self.emitter) as _
    }

    async fn arrived(&self, topic: Topic, count: usize) -> Vec<String> {
        let of_topic = || -> Vec<String> {
            let messages = self.emitter.messages();
            let of_topic = messages.iter().filter(|message| message.topic() == topic);
            of_topic.map(|message| MessageFormat::default().to_json(message)).collect()
        };
        let mut all = 0;
        loop {
            let arrived = of_topic();
            if arrived.len() >= count {
                return arrived;
            }
            self.emitter.until(all + 1).await;
            all = self.emitter.messages().len();
        }
    }
}

#[cfg(test)]
mod tests;
