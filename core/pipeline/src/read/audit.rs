//! The audit: proves on a live store that sums, sequences, previous summaries, positions, roll-ups and the outbox are
//! right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use tallyhouse_core::ports::{AuditPart, PortError, RecordReader};
use tallyhouse_core::{DestinationId, Key, Period, Record, RollUp, StoredRecord, Summary, Timestamp};

/// The most findings that are kept as text; further ones are only counted.
const FINDINGS_MAX: usize = 100;

/// The result of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// The number of records that were read.
    pub records: u64,
    /// The number of their keys (destination and reference).
    pub keys: u64,
    /// The number of records in the outbox, whose messages are still to be published.
    pub backlog_records: u64,
    /// The first hundred faults, each with its place.
    pub findings: Vec<String>,
    /// The number of all faults.
    pub findings_count: u64,
}

/// Checks every invariant of a store, in one snapshot.
///
/// ```
/// # use std::sync::Arc;
/// # use tallyhouse_pipeline::{Pipeline, PipelineParts, TokioClock};
/// # use tallyhouse_testing::{MemoryRepository, generate};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(TokioClock::start());
/// # let repository = Arc::new(MemoryRepository::new(clock.clone()));
/// # let (pipeline, driver) = Pipeline::new(PipelineParts::new(repository.clone(), clock.clone()));
/// # let work = tokio::spawn(driver.run());
/// # pipeline.process(generate::record("r-1", "shop-9", "", "12.50", "EUR")).await?;
/// let report = tallyhouse_pipeline::audit(&*repository).await?;
/// assert_eq!((report.records, report.findings.len()), (1, 0));
/// # drop(pipeline);
/// # work.await?;
/// # Ok(())
/// # }
/// ```
///
/// Memory: O(1) in the number of records; a summary for each day of one destination.
///
/// # Errors
/// The store can't answer now.
pub async fn audit(reader: &dyn RecordReader) -> Result<AuditReport, PortError> {
    let mut parts = reader.audit().await?;
    let mut audit = Audit::default();
    while let Some(part) = parts.next().await {
        match part? {
            AuditPart::Key(key, kept) => audit.begin(key, kept),
            AuditPart::Record(position, stored) => audit.record(position, &stored),
            AuditPart::Unreadable(what) => audit.add_finding(what),
            AuditPart::Outbox(first, last) => audit.outbox(first, last),
            AuditPart::RolledUpTo(position) => audit.rolled_up_to = position,
            AuditPart::RollUp(kept) => audit.roll_up(&kept),
        }
    }
    Ok(audit.finish())
}

#[derive(Debug, Default)]
struct Audit {
    report: AuditReport,
    key: Option<Key>,
    /// The running summary in the store.
    kept: Option<Summary>,
    /// The running summary of the records that were read.
    running: Summary,
    position_last: u64,
    /// The sum of all positions. Positions are unique in the store, so the sum and the last one prove that they are 1 to n.
    position_sum: u128,
    outbox_last: u64,
    /// The last position that is rolled up.
    rolled_up_to: u64,
    roll_ups: RollUps,
}

/// The roll-ups of one destination.
#[derive(Debug, Default)]
struct RollUps {
    destination_id: Option<DestinationId>,
    /// The roll-ups in the store, by period and begin.
    kept: BTreeMap<(Period, i64), Summary>,
    /// The roll-ups of the records that were read.
    counted: BTreeMap<(Period, i64), Summary>,
}

impl RollUps {
    fn count(&mut self, record: &Record) {
        for period in Period::ALL {
            self.counted.entry((period, period.begin(record.time))).or_default().add(record);
        }
    }

    /// Ends the destination; returns the faults of its roll-ups.
    fn end(&mut self) -> Vec<String> {
        let Self { destination_id, kept, counted } = std::mem::take(self);
        let Some(destination_id) = destination_id else { return Vec::new() };
        let none = Summary::default();
        let all: BTreeSet<_> = kept.keys().chain(counted.keys()).collect();
        let both = all.into_iter().map(|place| {
            (place, kept.get(place).unwrap_or(&none).to_compact(), counted.get(place).unwrap_or(&none).to_compact())
        });
        let wrong = both.filter(|(_, kept, counted)| kept != counted).map(|((period, begin), kept, counted)| {
            let days = match period {
                Period::Ever => "all of time".to_owned(),
                _ => {
                    format!("{} days from {}", period.days(), Timestamp::from_micros(*begin).unwrap_or(Timestamp::MIN))
                }
            };
            let destination_id = destination_id.as_str();
            format!("destination {destination_id:?}: the roll-up of {days} is {kept}, its records give {counted}")
        });
        wrong.collect()
    }
}

impl Audit {
    fn begin(&mut self, key: Key, kept: Option<Summary>) {
        self.end();
        self.enter(&key.destination_id);
        self.report.keys += 1;
        self.key = Some(key);
        self.kept = kept;
        self.running = Summary::default();
    }

    /// Compares the stored summary of a key with that of its records, after the last record of the key.
    fn end(&mut self) {
        let Some(key) = self.key.take() else { return };
        let subject = describe(&key);
        match self.kept.take() {
            None => self.add_finding(format!("{subject} has no running summary")),
            Some(_) if self.running.count() == 0 => {
                self.add_finding(format!("{subject} has a running summary and no record"))
            }
            Some(kept) if kept != self.running => {
                let (kept, running) = (kept.to_compact(), self.running.to_compact());
                self.add_finding(format!("{subject}: the running summary is {kept}, its records give {running}"));
            }
            Some(_) => {}
        }
    }

    fn record(&mut self, position: u64, stored: &StoredRecord) {
        self.report.records += 1;
        self.position_last = self.position_last.max(position);
        self.position_sum += u128::from(position);
        let processed = &stored.processed;
        let subject = format!("record {:?}", processed.record.record_id.as_str());
        let expected = self.running.count() + 1;
        if processed.sequence != expected {
            self.add_finding(format!("{subject} has sequence {}, expected {expected}", processed.sequence));
        }
        if stored.previous != self.running {
            let (kept, running) = (stored.previous.to_compact(), self.running.to_compact());
            self.add_finding(format!("{subject}: the previous summary is {kept}, the records before give {running}"));
        }
        for rule in &stored.alerts {
            if !Arc::as_ref(rule).is_met_by(&processed.record, &stored.previous) {
                self.add_finding(format!(
                    "{subject} has an alert by the rule {:?}, which it does not meet",
                    rule.name()
                ));
            }
        }
        self.running.add(&processed.record);
        if position <= self.rolled_up_to {
            self.roll_ups.count(&processed.record);
        }
    }

    fn roll_up(&mut self, kept: &RollUp) {
        self.end();
        self.enter(&kept.destination_id);
        let summary = self.roll_ups.kept.entry((kept.period, kept.begin)).or_default();
        summary.add_side(&kept.unit, kept.record_type, kept.side, kept.first, kept.last);
    }

    /// Begins a destination, and ends the one before it.
    fn enter(&mut self, destination_id: &DestinationId) {
        if self.roll_ups.destination_id.as_ref() != Some(destination_id) {
            self.leave();
            self.roll_ups.destination_id = Some(destination_id.clone());
        }
    }

    fn leave(&mut self) {
        for wrong in self.roll_ups.end() {
            self.add_finding(wrong);
        }
    }

    fn outbox(&mut self, first: u64, last: u64) {
        if first == 0 || last < first {
            self.add_finding(format!("the outbox has the positions {first} to {last}, which is no range"));
        } else {
            self.report.backlog_records += last - first + 1;
            if first <= self.outbox_last {
                self.add_finding(format!("two entries of the outbox have the position {first}"));
            }
        }
        self.outbox_last = self.outbox_last.max(last);
    }

    fn finish(mut self) -> AuditReport {
        self.end();
        self.leave();
        let records = u128::from(self.report.records);
        if u128::from(self.position_last) != records || self.position_sum != records * (records + 1) / 2 {
            let (records, last) = (self.report.records, self.position_last);
            self.add_finding(format!("the positions are not 1 to {records}: the last is {last}"));
        }
        if self.rolled_up_to > self.position_last {
            let (rolled_up_to, last) = (self.rolled_up_to, self.position_last);
            self.add_finding(format!(
                "records are rolled up to position {rolled_up_to}, but the last record is at {last}"
            ));
        }
        if self.outbox_last > self.position_last {
            let (outbox, last) = (self.outbox_last, self.position_last);
            self.add_finding(format!("the outbox reaches position {outbox}, but the last record is at {last}"));
        }
        self.report
    }

    fn add_finding(&mut self, what: String) {
        self.report.findings_count += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(what);
        }
    }
}

fn describe(key: &Key) -> String {
    format!("destination {:?}, reference {:?}", key.destination_id.as_str(), key.reference.as_str())
}

#[cfg(test)]
mod tests;
