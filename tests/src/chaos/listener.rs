//! Listeners: one reads the durable streams without a gap, and so knows all that was published; one is subscribed to
//! the channels, and misses what was published while it was not. Of each message they keep a hash, which a repeat must
//! have.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use redis::RedisResult;

use crate::chaos::content::number_of;
use crate::chaos::ledger::{Ledger, lock};
use crate::chaos::queue_ingress::connect;

/// How long one read waits, so that an end is seen.
const TURN_MS: u64 = 200;

/// What is added to a channel's name for the stream beside it; the channels of both topics.
const CHANNELS: [&str; 2] = ["tallyhouse:notifications", "tallyhouse:alerts"];

/// One message, as often as it came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Message {
    /// Of its text; 0 before it came.
    pub(crate) hash: u64,
    /// How often it came by the stream.
    pub(crate) streamed: u32,
    /// How often it came by the channel.
    pub(crate) received: u32,
}

/// All messages that came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// By the number of the record.
    pub(crate) notifications: Vec<Message>,
    /// By their ids.
    pub(crate) alerts: HashMap<String, Message>,
}

/// Both listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    received: Arc<Mutex<Received>>,
    leaves: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listeners {
    pub(crate) fn start(redis: &str, ledger: &Arc<Ledger>) -> Self {
        let (received, leaves) = (Arc::<Mutex<Received>>::default(), Arc::<AtomicBool>::default());
        let mut after = CHANNELS.map(|_| "0-0".to_owned());
        let works: [Listening; 2] =
            [Box::new(move |redis, listener| read_streams(redis, listener, &mut after)), Box::new(subscribe)];
        let start = |mut work: Listening| {
            let listener =
                Listener { received: Arc::clone(&received), ledger: Arc::clone(ledger), leaves: Arc::clone(&leaves) };
            let redis = redis.to_owned();
            std::thread::spawn(move || {
                while !listener.leaves.load(Ordering::Relaxed) {
                    if work(&redis, &listener).is_err() {
                        // Redis is unavailable: again, soon.
                        sleep(Duration::from_millis(50));
                    }
                }
            })
        };
        let threads = works.into_iter().map(start).collect();
        Self { received, leaves, threads }
    }

    /// Says whether the notification of a record was published.
    pub(crate) fn has(&self, n: u32) -> bool {
        lock(&self.received).notifications.get(n as usize).is_some_and(|message| message.streamed > 0)
    }

    /// Returns how many notifications and alerts were published.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let received = lock(&self.received);
        let came = received.notifications.iter().filter(|message| message.streamed > 0).count();
        (came, received.alerts.values().filter(|message| message.streamed > 0).count())
    }

    /// Ends both, and returns all that came.
    ///
    /// # Panics
    /// A listener has panicked.
    pub(crate) fn end(self) -> Received {
        self.leaves.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a listener does not panic"));
        std::mem::take(&mut *lock(&self.received))
    }
}

/// Listens to the Redis of this URL until it is unavailable, or the listener leaves.
type Listening = Box<dyn FnMut(&str, &Listener) -> RedisResult<()> + Send>;

struct Listener {
    received: Arc<Mutex<Received>>,
    ledger: Arc<Ledger>,
    leaves: Arc<AtomicBool>,
}

impl Listener {
    fn record(&self, topic: usize, text: &str, by_stream: bool) {
        let id = text.split_once("\"id\":\"").and_then(|(_, rest)| rest.split_once('"')).map(|(id, _)| id);
        let mut received = lock(&self.received);
        let message = match (id, id.and_then(number_of), topic) {
            (Some(_), Some(n), 0) => {
                let place = n as usize;
                let longer = received.notifications.len().max(place + 1);
                received.notifications.resize(longer, Message::default());
                &mut received.notifications[place]
            }
            (Some(id), None, 1) => received.alerts.entry(id.to_owned()).or_default(),
            _ => return self.ledger.find(format!("an unknown message: {text}")),
        };
        let before = std::mem::replace(&mut message.hash, hash(text));
        message.streamed += u32::from(by_stream);
        message.received += u32::from(!by_stream);
        if before != 0 && before != message.hash {
            self.ledger.find(format!("a repeat differs from what came before: {text}"));
        }
    }
}

/// The entries of one read: by stream, each an id and its fields.
type Streams = Vec<(String, Vec<(String, Vec<(String, String)>)>)>;

fn read_streams(redis: &str, listener: &Listener, after: &mut [String; 2]) -> RedisResult<()> {
    let mut connection = connect(redis)?;
    let names = CHANNELS.map(|channel| format!("{channel}:stream"));
    while !listener.leaves.load(Ordering::Relaxed) {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(500).arg("BLOCK").arg(TURN_MS).arg("STREAMS").arg(&names).arg(&*after);
        for (name, entries) in command.query::<Option<Streams>>(&mut connection)?.unwrap_or_default() {
            let topic = usize::from(name == names[1]);
            for (id, fields) in entries {
                fields.iter().for_each(|(_, text)| listener.record(topic, text, true));
                after[topic] = id;
            }
        }
    }
    Ok(())
}

fn subscribe(redis: &str, listener: &Listener) -> RedisResult<()> {
    let mut connection = connect(redis)?;
    let mut subscription = connection.as_pubsub();
    subscription.subscribe(&CHANNELS)?;
    subscription.set_read_timeout(Some(Duration::from_millis(TURN_MS)))?;
    while !listener.leaves.load(Ordering::Relaxed) {
        match subscription.get_message() {
            Ok(message) => {
                let topic = usize::from(message.get_channel_name() == CHANNELS[1]);
                listener.record(topic, &message.get_payload::<String>()?, false);
            }
            Err(error) if error.is_timeout() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the hash of a message's text, never 0.
pub(crate) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}
