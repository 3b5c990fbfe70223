//! The audit: proves on a live store that sums, sequences, previous summaries, positions and owed messages hold.

use std::sync::Arc;

use futures::StreamExt as _;

use crate::outcome::StoredRecord;
use crate::ports::{PortError, RecordRepository};
use crate::query::AuditPart;
use crate::summary::Summary;
use crate::text::Key;

/// How many findings are kept in words; the rest is only counted.
const FINDINGS_MAX: usize = 100;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many records were read.
    pub records: u64,
    /// How many keys (destination and reference) they have.
    pub keys: u64,
    /// Of how many records the messages are owed.
    pub owed_records: u64,
    /// What is wrong, each with its place: the first hundred.
    pub findings: Vec<String>,
    /// How many things are wrong in all.
    pub findings_count: u64,
}

/// Reads everything in one snapshot and checks every invariant. Memory: O(1) in the number of records.
///
/// # Errors
/// The store can't answer now.
pub async fn audit(repository: &dyn RecordRepository) -> Result<AuditReport, PortError> {
    let mut parts = repository.audit().await?;
    let mut audit = Audit::default();
    while let Some(part) = parts.next().await {
        match part? {
            AuditPart::Key(key, kept) => audit.begin(key, kept),
            AuditPart::Record(position, stored) => audit.record(position, &stored),
            AuditPart::Unreadable(what) => audit.find(what),
            AuditPart::Owed(first, last) => audit.owed(first, last),
        }
    }
    Ok(audit.finish())
}

#[derive(Debug, Default)]
struct Audit {
    report: AuditReport,
    key: Option<Key>,
    /// The running summary as it is kept.
    kept: Option<Summary>,
    /// The running summary as the records give it.
    running: Summary,
    position_last: u64,
    /// The sum of all positions, to see whether they are 1 to n: they are unique in the store.
    position_sum: u128,
    owed_last: u64,
}

impl Audit {
    fn begin(&mut self, key: Key, kept: Option<Summary>) {
        self.end();
        self.report.keys += 1;
        self.key = Some(key);
        self.kept = kept;
        self.running = Summary::default();
    }

    /// Compares the kept summary of a key with that of its records, after the last of them.
    fn end(&mut self) {
        let Some(key) = self.key.take() else { return };
        let place = place(&key);
        match self.kept.take() {
            None => self.find(format!("{place} has no running summary")),
            Some(_) if self.running.count() == 0 => self.find(format!("{place} has a running summary and no record")),
            Some(kept) if kept != self.running => {
                let (kept, running) = (kept.to_compact(), self.running.to_compact());
                self.find(format!("{place}: the running summary is {kept}, its records give {running}"));
            }
            Some(_) => {}
        }
    }

    fn record(&mut self, position: u64, stored: &StoredRecord) {
        self.report.records += 1;
        self.position_last = self.position_last.max(position);
        self.position_sum += u128::from(position);
        let processed = &stored.processed;
        let place = format!("record {:?}", processed.record.record_id.as_str());
        let expected = self.running.count() + 1;
        if processed.sequence != expected {
            self.find(format!("{place} has sequence {}, expected {expected}", processed.sequence));
        }
        if stored.previous != self.running {
            let (kept, running) = (stored.previous.to_compact(), self.running.to_compact());
            self.find(format!("{place}: the previous summary is {kept}, the records before give {running}"));
        }
        for rule in &stored.alerts {
            if !Arc::as_ref(rule).is_met_by(&processed.record, &stored.previous) {
                self.find(format!("{place} has an alert by the rule {:?}, which it does not meet", rule.name()));
            }
        }
        self.running.add(&processed.record);
    }

    fn owed(&mut self, first: u64, last: u64) {
        self.owed_last = self.owed_last.max(last);
        if first == 0 || last < first {
            self.find(format!("messages are owed for the positions {first} to {last}, which is no range"));
        } else {
            self.report.owed_records += last - first + 1;
        }
    }

    fn finish(mut self) -> AuditReport {
        self.end();
        let records = u128::from(self.report.records);
        if u128::from(self.position_last) != records || self.position_sum != records * (records + 1) / 2 {
            let (records, last) = (self.report.records, self.position_last);
            self.find(format!("the positions are not 1 to {records}: the last is {last}"));
        }
        if self.owed_last > self.position_last {
            let (owed, last) = (self.owed_last, self.position_last);
            self.find(format!("messages are owed up to position {owed}, but the last record is at {last}"));
        }
        self.report
    }

    fn find(&mut self, what: String) {
        self.report.findings_count += 1;
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(what);
        }
    }
}

fn place(key: &Key) -> String {
    format!("destination {:?}, reference {:?}", key.destination_id.as_str(), key.reference.as_str())
}

#[cfg(test)]
mod tests;
