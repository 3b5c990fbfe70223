//! A figure: what was measured, and how it is written.

use std::time::{Duration, Instant};

use tallyhouse_tests::bench::measurements::{PARTS, Times};
use tallyhouse_tests::bench::processes::{Cpu, state_of};
use tallyhouse_tests::bench::world::World;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    /// The head of its column, unit included.
    pub(crate) heading: &'static str,
    /// Digits behind the point.
    pub(crate) digits: usize,
}

/// One round's figures, the main one first.
pub(crate) type Figures = Vec<(Metric, f64)>;

const fn metric(heading: &'static str, digits: usize) -> Metric {
    Metric { heading, digits }
}

/// Records, or what else is counted, in a second.
pub(crate) const RATE: Metric = metric("a second", 0);
/// Answers to a question that takes long.
pub(crate) const ANSWERS: Metric = metric("answers a second", 2);
/// Time of the service's processors.
pub(crate) const SERVICE: Metric = metric("service µs", 1);
/// Time of Postgres.
pub(crate) const POSTGRES: Metric = metric("Postgres µs", 1);
/// Time of Redis.
pub(crate) const REDIS: Metric = metric("Redis µs", 1);
/// Time of the processes that send and listen.
pub(crate) const LOAD: Metric = metric("load µs", 1);
/// The most memory that the service has had.
pub(crate) const PEAK: Metric = metric("peak MiB", 0);

const ANSWERED: [Metric; PARTS.len()] = [
    metric("answer p50 ms", 2),
    metric("answer p90 ms", 2),
    metric("answer p99 ms", 2),
    metric("answer p99.9 ms", 2),
    metric("answer max ms", 2),
];
const HEARD: [Metric; PARTS.len()] = [
    metric("message p50 ms", 2),
    metric("message p90 ms", 2),
    metric("message p99 ms", 2),
    metric("message p99.9 ms", 2),
    metric("message max ms", 2),
];

/// A metric of one group only.
pub(crate) const fn own(heading: &'static str, digits: usize) -> Metric {
    metric(heading, digits)
}

/// Returns how long answers took.
pub(crate) fn answered(times: &Times) -> Figures {
    quantiles(ANSWERED, times)
}

/// Returns how long it took until messages were heard.
pub(crate) fn heard(times: &Times) -> Figures {
    quantiles(HEARD, times)
}

fn quantiles(metrics: [Metric; PARTS.len()], times: &Times) -> Figures {
    let parts = metrics.into_iter().zip(PARTS);
    parts.map(|(metric, (_, part))| (metric, times.part(part).as_secs_f64() * 1e3)).collect()
}

/// A measurement that runs.
pub(crate) struct Meter<'a> {
    world: &'a World,
    service: Option<u32>,
    began: Instant,
    cpu: Cpu,
}

impl<'a> Meter<'a> {
    /// Begins; `service` is the process of the service, or of what stands in its place, if there is one.
    pub(crate) fn begin(world: &'a World, service: Option<u32>) -> Self {
        let cpu = world.cpu(service);
        Self { world, service, began: Instant::now(), cpu }
    }

    /// Ends, and returns the rate of the records in `took`, or since it began, and what each took of the processors.
    pub(crate) fn end(self, records: u64, took: Option<Duration>) -> Figures {
        let took = took.unwrap_or_else(|| self.began.elapsed());
        let cpu = self.world.cpu(self.service) - self.cpu;
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / records.max(1) as f64;
        let mut figures = vec![(RATE, records as f64 / took.as_secs_f64())];
        if self.service.is_some() {
            figures.push((SERVICE, each(cpu.service)));
        }
        figures.extend([(POSTGRES, each(cpu.postgres)), (REDIS, each(cpu.redis)), (LOAD, each(cpu.load))]);
        figures
    }
}

/// Returns the most memory that a process has had.
pub(crate) fn peak(pid: u32) -> (Metric, f64) {
    (PEAK, state_of(pid).peak_kib as f64 / 1024.0)
}
