//! A subscriber of Redis channels that keeps every message, in a thread of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::servers::redis_server::RedisServer;
use crate::wait;

/// How long one wait for a message takes at most, so that the thread sees that it is to end.
const TURN: Duration = Duration::from_millis(100);

/// What has come: channel and message, to the letter.
type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// A subscriber. It is subscribed when it has been made; dropped, it leaves.
#[derive(Debug)]
pub struct Subscriber {
    heard: Heard,
    leaves: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Subscriber {
    /// Subscribes to channels.
    ///
    /// # Panics
    /// The server does not answer.
    #[must_use]
    #[track_caller]
    pub fn of(server: &RedisServer, channels: &[&str]) -> Self {
        let mut connection = server.connection().expect("Redis answers");
        let heard = Heard::default();
        let leaves = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&heard), Arc::clone(&leaves));
        let channels: Vec<String> = channels.iter().map(|&channel| channel.to_owned()).collect();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut subscription = connection.as_pubsub();
            subscription.subscribe(&channels).expect("Redis subscribes");
            subscription.set_read_timeout(Some(TURN)).expect("a time-out can be set");
            ready.send(()).expect("the one who subscribes waits");
            while !until.load(Ordering::Relaxed) {
                match subscription.get_message() {
                    Ok(message) => {
                        let text = message.get_payload().expect("a message is text");
                        lock(&into).push((message.get_channel_name().to_owned(), text));
                    }
                    Err(error) if error.is_timeout() => {}
                    // The server has gone: who needs more, subscribes again.
                    Err(_) => return,
                }
            }
        });
        is_ready.recv().expect("Redis subscribes");
        Self { heard, leaves, thread: Some(thread) }
    }

    /// Returns all that has come so far: channel and message.
    #[must_use]
    pub fn heard(&self) -> Vec<(String, String)> {
        lock(&self.heard).clone()
    }

    /// Returns how many messages have come so far.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.heard).len()
    }

    /// Waits until messages of this many ids have come, and returns all messages.
    ///
    /// # Panics
    /// They do not come in `patience`, or a message is not JSON.
    #[track_caller]
    pub fn await_ids(&self, ids: usize, patience: Duration) -> Vec<Value> {
        let mut seen = BTreeSet::new();
        let mut messages: Vec<Value> = Vec::new();
        let all = wait::within(patience, || {
            let new: Vec<String> =
                lock(&self.heard).iter().skip(messages.len()).map(|(_, message)| message.clone()).collect();
            for text in new {
                let message: Value = serde_json::from_str(&text).expect("a message is JSON");
                seen.insert(message["id"].as_str().expect("an id").to_owned());
                messages.push(message);
            }
            (seen.len() >= ids).then_some(())
        });
        assert!(all.is_some(), "after {patience:?} messages of {} ids have come instead of {ids}", seen.len());
        messages
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.leaves.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said why.
            drop(thread.join());
        }
    }
}

fn lock(heard: &Heard) -> MutexGuard<'_, Vec<(String, String)>> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
