//! The dry run of an alert rule: which alerts it would have raised, had it been in force from the first record on.
//!
//! A rule depends only on a record and the summary of the earlier records of its key, and a stored record has that
//! summary. A dry run therefore sums nothing up, and reads from the newest record backwards: if its host ends it early, it
//! has covered the most interesting records. It writes nothing and publishes nothing.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use tallyhouse_core::ports::{PortError, RecordReader};
use tallyhouse_core::{DestinationId, Filter, Message, Rule, StoredRecord, Timestamp};

use crate::read::export::{PAGE_RECORDS, between};

/// The most destinations whose alerts are counted separately. A rule that is met in more destinations is too wide to be of
/// use, and each destination takes memory: the dry run ends.
const DESTINATIONS_MAX: usize = 10_000;

/// A dry run in flight: all records that were stored when it began, from the newest backwards.
pub struct DryRun {
    reader: Arc<dyn RecordReader>,
    rule: Arc<Rule>,
    window: Filter,
    /// The records up to this position have not been read.
    left: u64,
    by_destination: HashMap<DestinationId, u64>,
    report: DryRunReport,
}

/// The alerts that a rule would have raised. Every number is exact for the records that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRunReport {
    /// Whether all records were read; otherwise only the newest.
    pub complete: bool,
    /// The number of records of the window that were read.
    pub records: u64,
    /// When the oldest record that was read, in the window or not, was processed.
    pub back_to: Option<Timestamp>,
    /// The number of alerts.
    pub alerts_count: u64,
    /// First and last `time` of the records that would have raised them.
    pub times: Option<(Timestamp, Timestamp)>,
    /// The number of their destinations.
    pub destinations_count: u64,
    /// The [`DryRunReport::DESTINATIONS_LISTED`] destinations with the most alerts, with their number: most first, then by
    /// bytes.
    pub destinations: Vec<(DestinationId, u64)>,
    /// The [`DryRunReport::ALERTS_LISTED`] latest alerts in the order of processing, the latest first: exactly as they
    /// would have been published.
    pub alerts: Vec<Message>,
}

impl std::fmt::Debug for DryRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DryRun").field("rule", &self.rule).field("left", &self.left).finish_non_exhaustive()
    }
}

impl DryRun {
    /// Begins the dry run of a rule over the records that are stored now. Only those that match `window` may raise an
    /// alert; totals are those of all records, as they were at each commit.
    ///
    /// # Errors
    /// The store can't answer now.
    pub async fn begin(reader: Arc<dyn RecordReader>, rule: Arc<Rule>, window: Filter) -> Result<Self, PortError> {
        let left = reader.head().await?;
        let report = DryRunReport::default();
        Ok(Self { reader, rule, window, left, by_destination: HashMap::new(), report })
    }

    /// Reads the next page of records; returns whether there are more. The call may be cancelled at any point: a page
    /// counts as a whole or not at all. Memory: one page, and a number for each destination.
    ///
    /// # Errors
    /// The store can't answer now. [`tallyhouse_core::ports::PortErrorKind::Corrupt`] if a position has no record.
    pub async fn step(&mut self) -> Result<bool, PortError> {
        if self.is_over() {
            return Ok(false);
        }
        let after = self.left.saturating_sub(PAGE_RECORDS);
        let page = between(&*self.reader, after, self.left).await?;
        // Without a filter, the page has a record at every position.
        for (position, stored) in (after + 1..=self.left).rev().zip(page.iter().rev()) {
            self.evaluate(position, stored);
        }
        self.left = after;
        Ok(!self.is_over())
    }

    fn is_over(&self) -> bool {
        self.left == 0 || self.by_destination.len() > DESTINATIONS_MAX
    }

    fn evaluate(&mut self, position: u64, stored: &Arc<StoredRecord>) {
        let report = &mut self.report;
        report.back_to = Some(stored.processed.processed_at);
        let record = &stored.processed.record;
        if !self.window.matches(record) {
            return;
        }
        report.records += 1;
        if !self.rule.is_met_by(record, &stored.previous) {
            return;
        }
        report.alerts_count += 1;
        report.times = Some(
            report
                .times
                .map_or((record.time, record.time), |(first, last)| (first.min(record.time), last.max(record.time))),
        );
        match self.by_destination.get_mut(&record.destination_id) {
            Some(count) => *count += 1,
            None => _ = self.by_destination.insert(record.destination_id.clone(), 1),
        }
        if report.alerts.len() < DryRunReport::ALERTS_LISTED {
            report.alerts.push(Message::hypothetical_alert(position, stored, &self.rule));
        }
    }

    /// Ends the dry run, finished or not.
    #[must_use]
    pub fn report(self) -> DryRunReport {
        let mut destinations: Vec<(DestinationId, u64)> = self.by_destination.into_iter().collect();
        let destinations_count = destinations.len() as u64;
        destinations
            .sort_unstable_by(|(a, alerts_a), (b, alerts_b)| (Reverse(alerts_a), a).cmp(&(Reverse(alerts_b), b)));
        destinations.truncate(DryRunReport::DESTINATIONS_LISTED);
        DryRunReport { complete: self.left == 0, destinations_count, destinations, ..self.report }
    }
}

impl DryRunReport {
    /// The most alerts that are listed: the latest ones.
    pub const ALERTS_LISTED: usize = 20;

    /// The most destinations that are listed.
    pub const DESTINATIONS_LISTED: usize = 20;
}

#[cfg(test)]
mod tests;
