//! Senders of requests over connections that are kept: as fast as it goes, or at a steady rate.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::join_all;
use tokio::runtime::{Builder, Runtime};

use crate::bench::arrivals::Arrivals;
use crate::bench::connection::Connection;
use crate::bench::measurements::Seen;

/// How long an answer may take before a request counts as broken.
const PATIENCE: Duration = Duration::from_secs(300);

/// For senders that end when all is sent.
pub const UNTIL_DONE: Duration = Duration::from_secs(24 * 60 * 60);

/// Appends the n-th request to an empty buffer, and returns what is noted of the time at which it is due.
pub type Requests = dyn Fn(u64, Instant, &mut Vec<u8>) + Send + Sync;

/// Connections to a service, and one thread that drives them all.
#[derive(Debug)]
pub struct Load {
    runtime: Runtime,
    address: SocketAddr,
    connections: Vec<Connection>,
}

impl Load {
    /// Opens this many connections.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(address: SocketAddr, connections: usize) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let opened = runtime.block_on(join_all((0..connections).map(|_| Connection::open(address))));
        let connections = opened.into_iter().collect::<io::Result<_>>().context("connecting")?;
        Ok(Self { runtime, address, connections })
    }

    /// Sends the requests of these numbers, each connection its next one as soon as it has an answer, until none is
    /// left or `lasts` is over.
    ///
    /// # Panics
    /// A sender did.
    pub fn closed(&mut self, numbers: Range<u64>, lasts: Duration, requests: &Arc<Requests>) -> Seen {
        let next = Arc::new(AtomicU64::new(numbers.start));
        let senders = self.senders();
        let end = Instant::now() + lasts;
        self.send_all(senders, requests, move || {
            let next = Arc::clone(&next);
            let last = numbers.end;
            async move {
                let now = Instant::now();
                let n = next.fetch_add(1, Ordering::Relaxed);
                (n < last && now < end).then_some((n, now))
            }
        })
    }

    /// Sends the requests of these numbers at a steady rate. One for which no connection is free waits for one, and its
    /// time counts from when it was due: nothing that a sender could not send for lack of an answer is left out.
    ///
    /// # Panics
    /// A sender did.
    pub fn open(&mut self, per_second: f64, numbers: Range<u64>, requests: &Arc<Requests>) -> Seen {
        let count = numbers.end - numbers.start;
        let next = Arc::new(AtomicU64::new(0));
        // Made ready before the first request is due: with hundreds of them that takes a while, and all that was due
        // meanwhile would come at once.
        let senders = self.senders();
        let arrivals = Arrivals::begin(per_second, count);
        let (permits, due_times) = (arrivals.permits(), arrivals.due_times());
        // A caller that asks once all are gone would wait for ever, and is told so.
        let closing = Arc::clone(&permits);
        let seen = self.send_all(senders, requests, move || {
            let (next, permits, closing) = (Arc::clone(&next), Arc::clone(&permits), Arc::clone(&closing));
            let first = numbers.start;
            async move {
                permits.acquire().await.ok()?.forget();
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n + 1 == count {
                    closing.close();
                }
                Some((first + n, due_times(n)))
            }
        });
        arrivals.join();
        seen
    }

    /// Makes a sender of each connection.
    fn senders(&mut self) -> Vec<Sender> {
        let (address, connections) = (self.address, std::mem::take(&mut self.connections));
        let sender = |connection| Sender { address, connection, seen: Seen::default(), buffer: Vec::new() };
        connections.into_iter().map(sender).collect()
    }

    fn send_all<N, F>(&mut self, senders: Vec<Sender>, requests: &Arc<Requests>, next: N) -> Seen
    where
        N: Fn() -> F + Clone + Send + 'static,
        F: Future<Output = Option<(u64, Instant)>> + Send,
    {
        let began = Instant::now();
        let senders = senders.into_iter().map(|mut sender| {
            let (requests, next) = (Arc::clone(requests), next.clone());
            self.runtime.spawn(async move {
                while let Some((n, due)) = next().await {
                    sender.buffer.clear();
                    requests(n, due, &mut sender.buffer);
                    sender.send(due).await;
                }
                sender.seen.took = began.elapsed();
                sender
            })
        });
        let senders: Vec<_> = senders.collect();
        let mut all = Seen::default();
        for sender in self.runtime.block_on(join_all(senders)) {
            let sender = sender.expect("a sender does not panic");
            all.join(&sender.seen);
            self.connections.push(sender.connection);
        }
        all
    }
}

struct Sender {
    address: SocketAddr,
    connection: Connection,
    seen: Seen,
    buffer: Vec<u8>,
}

impl Sender {
    async fn send(&mut self, due: Instant) {
        let sent = Instant::now();
        match tokio::time::timeout(PATIENCE, self.connection.exchange(&self.buffer)).await {
            Ok(Ok(answer)) => {
                *self.seen.answers.entry(answer.status).or_default() += 1;
                self.seen.body_bytes += answer.body_bytes;
                if (200..300).contains(&answer.status) {
                    self.seen.accepted.add(due.elapsed());
                    self.seen.served.add(sent.elapsed());
                } else {
                    self.seen.refused.add(sent.elapsed());
                    self.seen.without_retry_after += u64::from(!answer.retry_after);
                }
            }
            Ok(Err(_)) | Err(_) => {
                self.seen.broken += 1;
                // Where nobody listens any more, the next request is broken, too.
                if let Ok(connection) = Connection::open(self.address).await {
                    self.connection = connection;
                }
            }
        }
    }
}
