//! The dry run of an alert rule: which alerts it would have raised, had it been in force from the first record on.
//!
//! A stored record bears the summary of the earlier ones of its key, and a rule looks at nothing else beside the
//! record. So nothing is summed up again, and a dry run goes from the newest record backwards: where its host ends it
//! early, it has looked at what is of most interest. It writes nothing and publishes nothing.

use crate::read::export::{PAGE_RECORDS, between};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use tallyhouse_core::ports::{PortError, RecordReader};
use tallyhouse_core::{DestinationId, Filter, Message, Rule, StoredRecord, Timestamp};

/// Of how many destinations alerts are counted apart. A rule that is met in more of them is too wide to be of use, and
/// each takes memory: the dry run ends.
const DESTINATIONS_MAX: usize = 10_000;

/// A dry run under way: all records that were stored when it began, from the newest backwards.
pub struct DryRun {
    reader: Arc<dyn RecordReader>,
    rule: Arc<Rule>,
    window: Filter,
    /// The records up to this position are still to be looked at.
    left: u64,
    by_destination: HashMap<DestinationId, u64>,
    report: DryRunReport,
}

/// What a rule would have raised. Every number is exact for the records that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DryRunReport {
    /// Whether all records were looked at; else only the newest.
    pub complete: bool,
    /// How many records of the window were looked at.
    pub records: u64,
    /// When the oldest record was processed that was looked at, in the window or not.
    pub back_to: Option<Timestamp>,
    /// How many alerts there would be.
    pub alerts_count: u64,
    /// First and last `time` of the records that would have raised them.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Of how many destinations they would be.
    pub destinations_count: u64,
    /// The [`DryRunReport::DESTINATIONS_LISTED`] destinations with most alerts, and how many: most first, then by
    /// bytes.
    pub destinations: Vec<(DestinationId, u64)>,
    /// The [`DryRunReport::ALERTS_LISTED`] latest alerts in the order of processing, the latest first: to the letter
    /// what would have been published.
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

    /// Looks at the next page of records; says whether there is more to look at. May be dropped at any point: a page
    /// counts as a whole or not at all. Memory: a page, and a number for each destination.
    ///
    /// # Errors
    /// The store can't answer now. [`tallyhouse_core::ports::PortErrorKind::Corrupt`] where a position has no record.
    pub async fn step(&mut self) -> Result<bool, PortError> {
        if self.is_over() {
            return Ok(false);
        }
        let after = self.left.saturating_sub(PAGE_RECORDS);
        let page = between(&*self.reader, &Filter::default(), after, self.left).await?;
        // Without a filter, the page has a record at every position.
        for (position, stored) in (after + 1..=self.left).rev().zip(page.iter().rev()) {
            self.look_at(position, stored);
        }
        self.left = after;
        Ok(!self.is_over())
    }

    fn is_over(&self) -> bool {
        self.left == 0 || self.by_destination.len() > DESTINATIONS_MAX
    }

    fn look_at(&mut self, position: u64, stored: &Arc<StoredRecord>) {
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
            report.alerts.push(Message::would_be(position, stored, &self.rule));
        }
    }

    /// Ends the dry run, wherever it is.
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
    /// How many of the latest alerts are listed.
    pub const ALERTS_LISTED: usize = 20;

    /// How many destinations are listed.
    pub const DESTINATIONS_LISTED: usize = 20;
}

#[cfg(test)]
mod tests;
