//! Records at all ingresses at a steady rate, minute by minute.

use std::ops::Range;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tallyhouse_tests::bench::arrivals::count_in;
use tallyhouse_tests::bench::deployment::{Deployment, Queue};
use tallyhouse_tests::bench::latency_subscriber::Expected;
use tallyhouse_tests::bench::load::{Load, Requests};
use tallyhouse_tests::bench::measurements::Seen;
use tallyhouse_tests::bench::supply::{Ids, Keys, Supply, take};
use tallyhouse_tests::bench::world::World;

/// Records of a JSON batch, of an NDJSON request, and of a push to a queue.
const BATCH: u64 = 10;
const LINES: u64 = 50;
const PUSH: u64 = 25;

/// Of a hundred records, how many come by each ingress: single, batches, lines, list, stream.
const SHARES: [u64; 5] = [50, 15, 10, 15, 10];

/// One of so many single records was sent before.
const REPEATED_ONE_OF: u64 = 50;

/// How far back its original lies. Not a multiple of the above, so that no original is a repeat itself.
const BACK: u64 = 1_025;

/// Questions a second: records, summaries, totals.
const READS_PER_SECOND: f64 = 20.0;

const SINGLE_CONNECTIONS: usize = 128;
const OTHER_CONNECTIONS: usize = 8;

/// All ingresses of a service, and the readers.
pub(crate) struct Ingresses {
    single: Load,
    batches: Load,
    lines: Load,
    readers: Load,
    queues: [(Queue, redis::Connection); 2],
    supply: Arc<Supply>,
    expected: Arc<Expected>,
    rate: u64,
}

/// What the ingresses saw.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) single: Seen,
    pub(crate) batches: Seen,
    pub(crate) lines: Seen,
    pub(crate) reads: Seen,
    /// Different records that were sent.
    pub(crate) records: u64,
}

impl Sent {
    pub(crate) fn join(&mut self, other: &Self) {
        self.single.join(&other.single);
        self.batches.join(&other.batches);
        self.lines.join(&other.lines);
        self.reads.join(&other.reads);
        self.records += other.records;
    }

    /// Returns how many requests were not answered with a success.
    pub(crate) fn failures(&self) -> u64 {
        [&self.single, &self.batches, &self.lines, &self.reads].iter().map(|seen| seen.failures()).sum()
    }
}

impl Ingresses {
    pub(crate) fn open(world: &World, deployment: &Deployment, expected: &Arc<Expected>, rate: u64) -> Result<Self> {
        let connect = |connections| Load::connect(deployment.service.address(), connections);
        Ok(Self {
            single: connect(SINGLE_CONNECTIONS)?,
            batches: connect(OTHER_CONNECTIONS)?,
            lines: connect(OTHER_CONNECTIONS)?,
            readers: connect(OTHER_CONNECTIONS)?,
            queues: [(Queue::List, world.redis.connection()?), (Queue::Stream, world.redis.connection()?)],
            supply: Arc::new(Supply::new(Ids::Counted, Keys::Flights)),
            expected: Arc::clone(expected),
            rate,
        })
    }

    /// Sends for a while, at all ingresses at once.
    pub(crate) fn send(&mut self, deployment: &Deployment, lasts: Duration) -> Result<Sent> {
        let seconds = lasts.as_secs_f64();
        let [single, batches, lines, list, stream] =
            SHARES.map(|share| count_in((self.rate * share) as f64 / 100.0, lasts).max(1));
        let posts = take(single);
        let repeated = posts.clone().filter(|n| original(*n, &posts) != *n).count() as u64;
        let (one, groups, streams) = (self.singles(posts.clone()), self.groups(BATCH), self.groups(LINES));
        let pace = |records: u64, each: u64| (records / each).max(1) as f64 / seconds;
        let Self { single: singles, batches: in_batches, lines: in_lines, readers, queues, supply, expected, .. } =
            self;
        let [(_, to_list), (_, to_stream)] = queues;
        let questions = count_in(READS_PER_SECOND, lasts);
        std::thread::scope(|scope| {
            let (supply, expected) = (&**supply, &**expected);
            let listed = scope.spawn(move || push(deployment, Queue::List, to_list, list, lasts, supply, expected));
            let streamed =
                scope.spawn(move || push(deployment, Queue::Stream, to_stream, stream, lasts, supply, expected));
            let batched =
                scope.spawn(move || in_batches.open(pace(batches, BATCH), 0..(batches / BATCH).max(1), &groups));
            let lined = scope.spawn(move || in_lines.open(pace(lines, LINES), 0..(lines / LINES).max(1), &streams));
            let read = scope.spawn(move || readers.open(READS_PER_SECOND, 0..questions.max(1), &reads()));
            let single_seen = singles.open(single as f64 / seconds, posts.clone(), &one);
            let queued = listed.join().ok().context("a producer panicked")??
                + streamed.join().ok().context("a producer panicked")??;
            let grouped = (batches / BATCH).max(1) * BATCH + (lines / LINES).max(1) * LINES;
            Ok(Sent {
                single: single_seen,
                batches: batched.join().ok().context("a sender panicked")?,
                lines: lined.join().ok().context("a sender panicked")?,
                reads: read.join().ok().context("a reader panicked")?,
                records: single - repeated + grouped + queued,
            })
        })
    }

    fn singles(&self, posts: Range<u64>) -> Arc<Requests> {
        let (supply, expected) = (Arc::clone(&self.supply), Arc::clone(&self.expected));
        Arc::new(move |n, due, request: &mut Vec<u8>| {
            let sent = original(n, &posts);
            if sent == n {
                expected.record_sent(n, due);
            }
            supply.append_request(sent, request);
        })
    }

    fn groups(&self, size: u64) -> Arc<Requests> {
        let (supply, expected) = (Arc::clone(&self.supply), Arc::clone(&self.expected));
        Arc::new(move |_, due, request: &mut Vec<u8>| {
            let numbers = take(size);
            numbers.clone().for_each(|n| expected.record_sent(n, due));
            let bytes = if size == LINES { supply.lines_request(numbers) } else { supply.batch_request(numbers) };
            request.extend_from_slice(&bytes);
        })
    }
}

/// Returns the number of the record that is sent as the n-th: some were sent before.
fn original(n: u64, posts: &Range<u64>) -> u64 {
    let repeats = (n - posts.start).is_multiple_of(REPEATED_ONE_OF) && n >= posts.start + BACK;
    if repeats { n - BACK } else { n }
}

fn reads() -> Arc<Requests> {
    Arc::new(|n, _, request: &mut Vec<u8>| {
        let path = match n % 20 {
            0 => {
                "/v1/aggregates?records=false&destinationId=IAH&reference=EWR&start=2013-01-01T00:00:00Z&end=2013-01-02T00:00:00Z"
            }
            1..10 => "/v1/summaries/ORD",
            _ => "/v1/records?limit=10&destinationId=MIA",
        };
        for part in ["GET ", path, " HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            request.extend_from_slice(part.as_bytes());
        }
    })
}

/// Puts records into a queue at a steady rate, and returns how many.
fn push(
    deployment: &Deployment,
    queue: Queue,
    connection: &mut redis::Connection,
    records: u64,
    lasts: Duration,
    supply: &Supply,
    expected: &Expected,
) -> Result<u64> {
    let pushes = (records / PUSH).max(1);
    let (began, pause) = (Instant::now(), lasts.div_f64(pushes as f64));
    for n in 0..pushes {
        let due = began + pause.mul_f64(n as f64);
        sleep(due.saturating_duration_since(Instant::now()));
        let numbers = take(PUSH);
        numbers.clone().for_each(|n| expected.record_sent(n, due));
        deployment.pushes(queue, supply, numbers).exec(connection)?;
    }
    Ok(pushes * PUSH)
}
