//! A subscriber of the notifications that notes how long after it was due each record's message came.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::bench::measurements::Times;
use crate::bench::supply::{Ids, number};
use crate::servers::redis_server::RedisServer;

/// How long one wait for a message takes at most, so that the thread sees that it is to end.
const TURN: Duration = Duration::from_millis(100);

/// How often the number of messages is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Not sent yet.
const UNSENT: u64 = 0;
/// Its message has come.
const RECEIVED: u64 = u64::MAX;

/// When each of a range of records was due, and whether its message has come.
#[derive(Debug)]
pub struct Expected {
    numbers: Range<u64>,
    began: Instant,
    /// Nanoseconds since it began, or one of the two marks.
    due: Vec<AtomicU64>,
}

impl Expected {
    /// Expects records of these numbers.
    #[must_use]
    pub fn new(numbers: Range<u64>) -> Arc<Self> {
        let due = numbers.clone().map(|_| AtomicU64::new(UNSENT)).collect();
        Arc::new(Self { numbers, began: Instant::now(), due })
    }

    /// Notes that the n-th record is sent, and when that was due.
    pub fn record_sent(&self, n: u64, due: Instant) {
        if let Some(place) = self.place(n) {
            let nanos = due.saturating_duration_since(self.began).as_nanos();
            place.store(u64::try_from(nanos).unwrap_or(u64::MAX - 1).max(1), Ordering::Relaxed);
        }
    }

    /// Returns the numbers of the records that were sent, and whose message has not come.
    #[must_use]
    pub fn missing(&self) -> Vec<u64> {
        let is_missing = |place: &AtomicU64| ![UNSENT, RECEIVED].contains(&place.load(Ordering::Relaxed));
        self.numbers.clone().zip(&self.due).filter(|(_, place)| is_missing(place)).map(|(n, _)| n).collect()
    }

    fn place(&self, n: u64) -> Option<&AtomicU64> {
        self.due.get(usize::try_from(n.checked_sub(self.numbers.start)?).ok()?)
    }

    /// Notes that the message of the n-th record has come, and returns how long after it was due; none, where it had
    /// come before, or nobody sent it.
    fn record_received(&self, n: u64) -> Option<Duration> {
        let due = self.place(n)?.swap(RECEIVED, Ordering::Relaxed);
        if [UNSENT, RECEIVED].contains(&due) {
            return None;
        }
        Some(self.began.elapsed().saturating_sub(Duration::from_nanos(due)))
    }
}

/// A subscriber. It is subscribed when it has been made.
#[derive(Debug)]
pub struct LatencySubscriber {
    received: Arc<Mutex<Latencies>>,
    is_finished: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The latencies of the messages that a subscriber received.
#[derive(Debug, Default)]
pub struct Latencies {
    /// How long after it was due each message came.
    pub times: Times,
    /// Messages that came once more, or of records that nobody sent.
    pub others: u64,
}

impl LatencySubscriber {
    /// Subscribes to the notifications of the service with this prefix.
    ///
    /// # Errors
    /// Redis does not answer.
    ///
    /// # Panics
    /// Not here; the thread ends in a panic if Redis fails.
    pub fn subscribe(redis: &RedisServer, prefix: &str, ids: Ids, expected: &Arc<Expected>) -> Result<Self> {
        let mut connection = redis.connection()?;
        let channel = format!("{prefix}:notifications");
        let (received, is_finished) = (Arc::<Mutex<Latencies>>::default(), Arc::new(AtomicBool::new(false)));
        let (all, until, expected) = (Arc::clone(&received), Arc::clone(&is_finished), Arc::clone(expected));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut subscription = connection.as_pubsub();
            subscription.subscribe(channel).expect("Redis subscribes");
            subscription.set_read_timeout(Some(TURN)).expect("a time-out can be set");
            ready.send(()).expect("the one who subscribes waits");
            while !until.load(Ordering::Relaxed) {
                let message = match subscription.get_message() {
                    Ok(message) => message,
                    Err(error) if error.is_timeout() => continue,
                    Err(error) => panic!("the subscription broke: {error}"),
                };
                let due = number_in(message.get_payload_bytes(), ids).and_then(|n| expected.record_received(n));
                let mut all = lock(&all);
                match due {
                    Some(time) => all.times.add(time),
                    None => all.others += 1,
                }
            }
        });
        is_ready.recv()?;
        Ok(Self { received, is_finished, thread })
    }

    /// Returns what has been received since this was last asked.
    #[must_use]
    pub fn take(&self) -> Latencies {
        std::mem::take(&mut *lock(&self.received))
    }

    /// Waits until this many more messages have been received than were taken, or nothing has come for `patience`; then
    /// ends, and returns them.
    ///
    /// # Panics
    /// The subscription broke.
    #[must_use]
    pub fn finish(self, messages: u64, patience: Duration) -> Latencies {
        let count = || lock(&self.received).times.count();
        let mut last = (count(), Instant::now());
        while last.0 < messages && last.1.elapsed() < patience {
            sleep(LOOK_EVERY);
            let now = count();
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        self.is_finished.store(true, Ordering::Relaxed);
        self.thread.join().expect("the subscription holds");
        std::mem::take(&mut *lock(&self.received))
    }
}

fn lock(received: &Mutex<Latencies>) -> MutexGuard<'_, Latencies> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the number in the message's `id`, which is the record's.
fn number_in(message: &[u8], ids: Ids) -> Option<u64> {
    const MARK: &[u8] = b"\"id\":\"";
    let at = message.windows(MARK.len()).position(|window| window == MARK)?;
    number(&message[at + MARK.len()..], ids)
}
