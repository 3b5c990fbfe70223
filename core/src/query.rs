//! Queries over the stored records.

use crate::outcome::StoredRecord;
use crate::record::text::{DestinationId, RecordId, Reference, SourceId, Unit};
use crate::record::time::Timestamp;
use crate::record::{Record, RecordType};
use crate::rule;

/// Selects records: every condition that is set must hold.
///
/// ```
/// use tallyhouse_core::{DestinationId, Draft, Filter, Timestamp};
///
/// let filter = Filter {
///     start: Some(Timestamp::parse_bound("2026-01-01T00:00:00Z")?),
///     destination_id: Some(DestinationId::new("shop-9")?),
///     ..Filter::default()
/// };
/// let draft = Draft {
///     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
///     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
/// };
/// assert!(filter.matches(&draft.check()?));
/// assert!(!filter.matches(&Draft { time: "2025-12-31T23:59:59Z", ..draft }.check()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `time` at or after this.
    pub start: Option<Timestamp>,
    /// `time` before this.
    pub end: Option<Timestamp>,
    /// Of this type.
    pub record_type: Option<RecordType>,
    /// Of this destination.
    pub destination_id: Option<DestinationId>,
    /// From this source.
    pub source_id: Option<SourceId>,
    /// With this reference, which may be the empty one.
    pub reference: Option<Reference>,
    /// In this unit.
    pub unit: Option<Unit>,
}

impl Filter {
    /// Says whether a record is selected.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.start.is_none_or(|start| record.time >= start)
            && self.end.is_none_or(|end| record.time < end)
            && self.record_type.is_none_or(|record_type| record.record_type == record_type)
            && self.destination_id.as_ref().is_none_or(|id| record.destination_id == *id)
            && self.source_id.as_ref().is_none_or(|id| record.source_id == *id)
            && self.reference.as_ref().is_none_or(|reference| record.reference == *reference)
            && self.unit.as_ref().is_none_or(|unit| record.unit == *unit)
    }
}

/// Selects records by the alert rules that they met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alerting {
    /// At least one rule.
    Any,
    /// The rule of this name.
    Rule(String),
}

impl Alerting {
    /// Selects by a rule's name; `None` for a text that can't be one.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        rule::is_name(name).then(|| Self::Rule(name.to_owned()))
    }

    /// Says whether a record is selected.
    #[must_use]
    pub fn matches(&self, stored: &StoredRecord) -> bool {
        match self {
            Self::Any => !stored.alerts.is_empty(),
            Self::Rule(name) => stored.alerts.iter().any(|rule| rule.name() == name),
        }
    }

    /// Returns a text that [`rules_to_json`](crate::rules_to_json) writes for the selected records only; `None` if any
    /// rule selects. The text is unambiguous: a name holds no quotes, and quotes within other members are escaped.
    #[must_use]
    pub fn json_part(&self) -> Option<String> {
        match self {
            Self::Any => None,
            Self::Rule(name) => Some(format!("\"name\":\"{name}\"")),
        }
    }
}

/// The order of a page of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RecordOrder {
    /// By `time`, then `recordId`.
    #[default]
    OldestFirst,
    /// The reverse.
    NewestFirst,
}

/// A page of stored records, ordered by `time`, then `recordId`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordQuery {
    /// Selects the records.
    pub filter: Filter,
    /// Only those that met a rule; `None` for all.
    pub alerting: Option<Alerting>,
    /// The order of the page.
    pub order: RecordOrder,
    /// Only those after this place in the order.
    pub after: Option<(Timestamp, RecordId)>,
    /// How many at most, at least 1.
    pub limit: usize,
}

/// A page of the running summaries of one destination, ordered by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryQuery {
    /// The destination.
    pub destination_id: DestinationId,
    /// Only this reference, which may be the empty one.
    pub reference: Option<Reference>,
    /// Only those after this reference.
    pub after: Option<Reference>,
    /// How many at most, at least 1.
    pub limit: usize,
}

/// The records that match, grouped by destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupQuery {
    /// Selects the records.
    pub filter: Filter,
    /// Only groups after this destination.
    pub after: Option<DestinationId>,
    /// How many groups at most, at least 1; `None` for all.
    pub limit: Option<usize>,
    /// Whether to list the records of each group, beside its totals.
    pub records: bool,
}
