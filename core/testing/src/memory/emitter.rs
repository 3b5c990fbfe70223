//! Records emitted messages in memory; a test can make emits fail.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tallyhouse_core::Message;
use tallyhouse_core::ports::{MessageEmitter, PortError, PortErrorKind};
use tokio::sync::watch;

/// Keeps every message that it is given, and fails when a test says so.
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

    /// Returns the messages that were emitted so far, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.messages).clone()
    }

    /// Waits until at least `count` messages have been emitted.
    pub async fn until(&self, count: usize) {
        let mut emitted = self.count.subscribe();
        // The sender lives as long as `self`, so the wait can't fail.
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

#[cfg(test)]
mod tests;
