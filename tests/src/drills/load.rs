//! A steady load of single records over HTTP: each is sent at its time, even if earlier ones still wait, and sent again
//! until it is taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::http::{Client, try_send};
use crate::data::records::{many, nth};
use crate::wait;

/// How many senders share a load. Enough that one that waits for an answer leaves the rate to the others.
pub(super) const SENDERS: usize = 16;

/// How long a record is sent again before the load gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Senders that run.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Tally>>,
}

/// What senders saw.
#[derive(Debug, Default)]
pub struct Tally {
    /// The records that were taken.
    pub records: Vec<Value>,
    /// For each of the records, when it was answered with `201` or `200`, and how long after the time at which it was due.
    pub taken: Vec<(Instant, Duration)>,
    /// How often `503` with `Retry-After` was answered.
    pub unavailable: usize,
    /// All other answers, each with its count.
    pub others: BTreeMap<String, usize>,
}

impl Load {
    /// Starts to send `per_second` records a second in turn to the clients. Ids begin with `prefix`.
    ///
    /// # Panics
    /// A record is not taken for five minutes.
    #[must_use]
    pub fn start(clients: &[Client], per_second: usize, prefix: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let pace = Duration::from_secs(1) / u32::try_from(per_second).expect("a rate is small");
        let sender = |n: usize| {
            let (client, stop) = (clients[n % clients.len()].clone(), Arc::clone(&stop));
            let prefix = format!("{prefix}{n}");
            std::thread::spawn(move || {
                let mut tally = Tally::default();
                for i in 0.. {
                    let turn = u32::try_from(i * SENDERS + n).expect("a load is short");
                    let due = began + pace * turn;
                    while Instant::now() < due {
                        if stop.load(Ordering::Relaxed) {
                            return tally;
                        }
                        sleep(due.saturating_duration_since(Instant::now()).min(Duration::from_millis(20)));
                    }
                    if stop.load(Ordering::Relaxed) {
                        return tally;
                    }
                    tally.send(&client, nth(&prefix, i), due);
                }
                tally
            })
        };
        let senders = (0..SENDERS).map(sender).collect();
        Self { stop, senders }
    }

    /// Stops when what is in flight has been taken, and returns what all senders saw.
    ///
    /// # Panics
    /// A sender did.
    #[must_use]
    #[track_caller]
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for sender in self.senders {
            let tally = sender.join().expect("a sender does not panic");
            all.records.extend(tally.records);
            all.taken.extend(tally.taken);
            all.unavailable += tally.unavailable;
            for (answer, times) in tally.others {
                *all.others.entry(answer).or_default() += times;
            }
        }
        all
    }
}

/// Sends a record to each client until it is taken, and returns how long after `since` all were, with the records.
///
/// # Panics
/// One is not taken within this time.
#[track_caller]
pub(super) fn recovery(clients: &[Client], since: Instant, within: Duration) -> (Duration, Vec<Value>) {
    let records = many("probe", clients.len());
    for (client, record) in clients.iter().zip(&records) {
        let request = || client.request("POST", "/v1/records").timeout(Duration::from_secs(2));
        let send = || try_send(request().header("content-type", "application/json").body(record.to_string())).ok();
        let taken = || send().filter(|answer| [200, 201].contains(&answer.status));
        wait::within(within, taken).unwrap_or_else(|| panic!("no record is taken within {within:?}"));
    }
    (since.elapsed(), records)
}

impl Tally {
    /// Sends a record until it is taken.
    fn send(&mut self, client: &Client, record: Value, due: Instant) {
        let body = record.to_string();
        let taken = wait::within(PATIENCE, || {
            let request = client.request("POST", "/v1/records").header("content-type", "application/json");
            let other = match try_send(request.body(body.clone())) {
                Ok(answer) if [200, 201].contains(&answer.status) => return Some(Instant::now()),
                Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {
                    self.unavailable += 1;
                    // As long as a sender waits who does not read the header.
                    sleep(Duration::from_millis(100));
                    return None;
                }
                Ok(answer) => format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
                Err(error) => format!("no answer: {error:?}"),
            };
            *self.others.entry(other).or_default() += 1;
            None
        });
        let at = taken.expect("the record is taken in the end");
        self.taken.push((at, at.saturating_duration_since(due)));
        self.records.push(record);
    }

    /// Returns how many records were taken in each second from `from` on, up to `until`.
    #[must_use]
    pub fn per_second(&self, from: Instant, until: Instant) -> Vec<usize> {
        let seconds = usize::try_from(until.saturating_duration_since(from).as_secs()).expect("a drill is short");
        let mut counts = vec![0; seconds];
        for (at, _) in self.taken.iter().filter(|(at, _)| *at >= from) {
            let second = usize::try_from(at.duration_since(from).as_secs()).expect("a drill is short");
            if let Some(count) = counts.get_mut(second) {
                *count += 1;
            }
        }
        counts
    }

    /// Returns how long after its time the given part of the records that were taken between `from` and `until` was
    /// answered at most: 0.99 for the 99th percentile.
    ///
    /// # Panics
    /// None was taken then.
    #[must_use]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank among a few thousand")]
    pub fn percentile(&self, part: f64, from: Instant, until: Instant) -> Duration {
        let mut delays: Vec<Duration> =
            self.taken.iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, delay)| *delay).collect();
        assert!(!delays.is_empty(), "nothing was taken");
        delays.sort_unstable();
        delays[((delays.len() - 1) as f64 * part).round() as usize]
    }
}
