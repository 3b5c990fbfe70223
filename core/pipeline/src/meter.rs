//! The counts of a pipeline: plain atomics, which a host reads as [`Readings`] and exports in a format of its own. The
//! pipeline depends on no metrics library.
//!
//! Counting takes no lock, and is done once for a batch or a submission where possible, not for each record.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tallyhouse_core::{Message, Outcome, OutcomeCounts, Topic};
use tokio::sync::Semaphore;

use crate::submit_error::{RecordResult, SubmitError};

pub use histogram::{Histogram, HistogramReading};

/// The counts since the pipeline was built, and the records that wait at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readings {
    /// The counts of each ingress, in the order in which they were first opened. Ingresses of one name are one.
    pub ingresses: Vec<IngressReading>,
    /// The number of records in each batch.
    pub batch_records: HistogramReading,
    /// The duration of each successful commit, in microseconds.
    pub commit_micros: HistogramReading,
    /// The number of failed attempts to commit.
    pub commits_failed: u64,
    /// The time of each record from the intake to its outcome, in microseconds.
    pub accept_to_commit_micros: HistogramReading,
    /// The time of each record from its commit until its messages were published, in microseconds. If the messages were
    /// read from the store, it starts at the record's `processedAt`.
    pub commit_to_publish_micros: HistogramReading,
    /// The number of published messages, by topic. A message that is published twice counts twice.
    pub published: [(Topic, u64); 2],
    /// The number of failed attempts to publish.
    pub publishing_failed: u64,
    /// The number of abandoned batches in the outbox that only another emitter may publish, when this instance last looked:
    /// at most 1,000 are counted.
    pub foreign_batches: u64,
}

/// The counts of one ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngressReading {
    /// Its name.
    pub name: &'static str,
    /// The outcomes of records, those that were rejected before they entered the intake included.
    pub outcomes: OutcomeCounts,
    /// The number of records without an outcome because the intake was full.
    pub overloaded: u64,
    /// The number of records without an outcome because storage was unavailable.
    pub unavailable: u64,
    /// The number of records without an outcome because the pipeline was closed, or had stopped.
    pub stopped: u64,
    /// The number of records that wait or are being committed. Of several ingresses with this name, the fullest counts, here
    /// and in what follows.
    pub waiting_records: u64,
    /// The number of bytes of these records.
    pub waiting_bytes: u64,
    /// The most records that can wait.
    pub intake_records_max: u64,
    /// The most bytes of records that can wait.
    pub intake_bytes_max: u64,
}

/// The counts of a pipeline.
#[derive(Debug)]
pub(crate) struct Meter {
    ingresses: Mutex<Vec<Arc<IngressMeter>>>,
    batch_records: Histogram,
    commit: Histogram,
    commits_failed: AtomicU64,
    accept_to_commit: Histogram,
    commit_to_publish: Histogram,
    notifications: AtomicU64,
    alerts: AtomicU64,
    publishing_failed: AtomicU64,
    foreign_batches: AtomicU64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            ingresses: Mutex::default(),
            batch_records: Histogram::of_records(),
            commit: Histogram::of_times(),
            commits_failed: AtomicU64::new(0),
            accept_to_commit: Histogram::of_times(),
            commit_to_publish: Histogram::of_times(),
            notifications: AtomicU64::new(0),
            alerts: AtomicU64::new(0),
            publishing_failed: AtomicU64::new(0),
            foreign_batches: AtomicU64::new(0),
        }
    }

    /// Adds the counts of a new ingress.
    pub(crate) fn open(&self, name: &'static str, records: Capacity, bytes: Capacity) -> Arc<IngressMeter> {
        let ingress = Arc::new(IngressMeter {
            name,
            outcomes: Default::default(),
            unanswered: Default::default(),
            records,
            bytes,
        });
        self.ingresses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&ingress));
        ingress
    }

    pub(crate) fn committed(&self, records: usize, took: Duration) {
        self.batch_records.observe(number(records), 1);
        self.commit.observe_time(took, 1);
    }

    pub(crate) fn commit_failed(&self) {
        add(&self.commits_failed, 1);
    }

    /// Counts the results of one submission, and the time that it waited for them.
    pub(crate) fn answered(&self, ingress: &IngressMeter, results: &[RecordResult], waited: Duration) {
        let with_outcome = ingress.count(results);
        self.accept_to_commit.observe_time(waited, with_outcome);
    }

    /// Counts published messages.
    pub(crate) fn published(&self, messages: &[Message]) {
        let alerts = messages.iter().filter(|message| message.topic() == Topic::Alerts).count();
        add(&self.alerts, number(alerts));
        add(&self.notifications, number(messages.len() - alerts));
    }

    /// Counts records by the time from their commit until their messages were published.
    pub(crate) fn published_after(&self, waited: Duration, records: usize) {
        self.commit_to_publish.observe_time(waited, number(records));
    }

    pub(crate) fn set_foreign(&self, batches: usize) {
        self.foreign_batches.store(number(batches), Ordering::Relaxed);
    }

    pub(crate) fn publishing_failed(&self) {
        add(&self.publishing_failed, 1);
    }

    pub(crate) fn read(&self) -> Readings {
        let mut ingresses: Vec<IngressReading> = Vec::new();
        for ingress in &*self.ingresses.lock().unwrap_or_else(PoisonError::into_inner) {
            let reading = ingress.read();
            match ingresses.iter_mut().find(|known| known.name == reading.name) {
                Some(known) => known.add(&reading),
                None => ingresses.push(reading),
            }
        }
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Readings {
            ingresses,
            batch_records: self.batch_records.read(),
            commit_micros: self.commit.read(),
            commits_failed: load(&self.commits_failed),
            accept_to_commit_micros: self.accept_to_commit.read(),
            commit_to_publish_micros: self.commit_to_publish.read(),
            published: [(Topic::Notifications, load(&self.notifications)), (Topic::Alerts, load(&self.alerts))],
            publishing_failed: load(&self.publishing_failed),
            foreign_batches: load(&self.foreign_batches),
        }
    }
}

/// The capacity of an ingress: its semaphore, and the number of its permits.
#[derive(Debug, Clone)]
pub(crate) struct Capacity {
    pub(crate) semaphore: Arc<Semaphore>,
    pub(crate) max: usize,
}

impl Capacity {
    fn in_use(&self) -> u64 {
        number(self.max.saturating_sub(self.semaphore.available_permits()))
    }
}

/// The live counts of one ingress.
#[derive(Debug)]
pub(crate) struct IngressMeter {
    name: &'static str,
    /// In the order of the members of [`OutcomeCounts`].
    outcomes: [AtomicU64; 4],
    /// Overloaded, unavailable, stopped.
    unanswered: [AtomicU64; 3],
    records: Capacity,
    bytes: Capacity,
}

impl IngressMeter {
    /// Counts records that were rejected before they could enter the intake.
    pub(crate) fn refused(&self, records: usize) {
        add(&self.outcomes[3], number(records));
    }

    /// Counts records without an outcome.
    pub(crate) fn unanswered(&self, records: usize, error: &SubmitError) {
        let index = match error {
            SubmitError::Overloaded => 0,
            SubmitError::Unavailable(_) => 1,
            SubmitError::Stopped => 2,
        };
        add(&self.unanswered[index], number(records));
    }

    /// Counts results, and returns the number of records with an outcome.
    fn count(&self, results: &[RecordResult]) -> u64 {
        let mut counts = [0; 4];
        for result in results {
            match result {
                Ok(Outcome::Processed(_)) => counts[0] += 1,
                Ok(Outcome::Duplicate { .. }) => counts[1] += 1,
                Ok(Outcome::Conflict { .. }) => counts[2] += 1,
                Ok(Outcome::Rejected(_)) => counts[3] += 1,
                Err(error) => self.unanswered(1, error),
            }
        }
        self.outcomes.iter().zip(counts).for_each(|(total, count)| add(total, count));
        counts.iter().sum()
    }

    fn read(&self) -> IngressReading {
        let [processed, duplicates, conflicts, rejected] = self.outcomes.each_ref().map(|n| n.load(Ordering::Relaxed));
        let [overloaded, unavailable, stopped] = self.unanswered.each_ref().map(|n| n.load(Ordering::Relaxed));
        IngressReading {
            name: self.name,
            outcomes: OutcomeCounts { processed, duplicates, conflicts, rejected },
            overloaded,
            unavailable,
            stopped,
            waiting_records: self.records.in_use(),
            waiting_bytes: self.bytes.in_use(),
            intake_records_max: number(self.records.max),
            intake_bytes_max: number(self.bytes.max),
        }
    }
}

impl IngressReading {
    fn add(&mut self, other: &Self) {
        self.outcomes.processed += other.outcomes.processed;
        self.outcomes.duplicates += other.outcomes.duplicates;
        self.outcomes.conflicts += other.outcomes.conflicts;
        self.outcomes.rejected += other.outcomes.rejected;
        self.overloaded += other.overloaded;
        self.unavailable += other.unavailable;
        self.stopped += other.stopped;
        // A full ingress refuses records, however empty another of its name is.
        let is_fuller = |[waiting, max]: [u64; 2], [own, own_max]: [u64; 2]| {
            u128::from(waiting) * u128::from(own_max) > u128::from(own) * u128::from(max)
        };
        let records = [other.waiting_records, other.intake_records_max];
        if is_fuller(records, [self.waiting_records, self.intake_records_max]) {
            [self.waiting_records, self.intake_records_max] = records;
        }
        let bytes = [other.waiting_bytes, other.intake_bytes_max];
        if is_fuller(bytes, [self.waiting_bytes, self.intake_bytes_max]) {
            [self.waiting_bytes, self.intake_bytes_max] = bytes;
        }
    }
}

/// Adds to a count. Relaxed ordering is enough: the counts are read one by one, and none of them guards other data.
fn add(count: &AtomicU64, more: u64) {
    if more > 0 {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
