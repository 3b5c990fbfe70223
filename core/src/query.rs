//! What can be asked of the stored records.

use std::pin::Pin;

use futures::Stream;

use crate::outcome::{ProcessedRecord, StoredRecord};
use crate::ports::PortError;
use crate::record::{Record, RecordType};
use crate::roll_up::Stretch;
use crate::summary::{Side, Summary};
use crate::text::{DestinationId, Key, RecordId, Reference, SourceId, Unit};
use crate::time::Timestamp;

/// Which records: every condition that is set must hold.
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
    /// Says whether a record is asked for.
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

/// A page of stored records, ordered by `time`, then `recordId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordQuery {
    /// Which records.
    pub filter: Filter,
    /// Only those after this place in the order.
    pub after: Option<(Timestamp, RecordId)>,
    /// How many at most.
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
    /// How many at most.
    pub limit: usize,
}

/// The records that match, grouped by destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupQuery {
    /// Which records.
    pub filter: Filter,
    /// Only groups after this destination.
    pub after: Option<DestinationId>,
    /// How many groups at most; `None` for all.
    pub limit: Option<usize>,
    /// Whether to list the records of each group, beside its totals.
    pub records: bool,
}

/// The answer to a [`GroupQuery`]: one snapshot, in parts.
pub struct Groups {
    /// The parts. Dropping the stream early ends the work behind it.
    pub parts: PartStream<GroupPart>,
    /// The last group of this answer, where there are more groups than the limit.
    pub next: Option<DestinationId>,
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A stream of the parts of an answer, read in a snapshot of its own.
pub type PartStream<T> = Pin<Box<dyn Stream<Item = Result<T, PortError>> + Send>>;

/// A part of the answer to a [`GroupQuery`]: each group, ordered by destination, is followed by its records, if they
/// were asked for, in any number of parts, ordered by `time`, then `recordId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupPart {
    /// A group begins: its destination, and the exact summary of its records that match.
    Group(DestinationId, Summary),
    /// Some of its records.
    Records(Vec<ProcessedRecord>),
}

/// The records of one destination, unit and type in one stretch of time, as an adapter keeps them summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUp {
    /// The destination.
    pub destination_id: DestinationId,
    /// How long the stretch is.
    pub stretch: Stretch,
    /// When it begins: see [`Stretch::begin`].
    pub begin: i64,
    /// The unit.
    pub unit: Unit,
    /// The type.
    pub record_type: RecordType,
    /// How many records, and their sum.
    pub side: Side,
    /// Their first `time`.
    pub first: Timestamp,
    /// Their last `time`.
    pub last: Timestamp,
}

/// What a full read for [`crate::audit`] finds, ordered by key, then `sequence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditPart {
    /// A key: what is kept as its running summary, `None` where there is no row for it. Every key begins with this.
    Key(Key, Option<Summary>),
    /// One of the key's records, with its position.
    Record(u64, Box<StoredRecord>),
    /// A row that can't be read: where it is, and why.
    Unreadable(String),
    /// Messages owed for the records at these positions, first and last.
    Owed(u64, u64),
    /// Up to which position the records are in the roll-ups. In front of all other parts; nowhere, where none are.
    Folded(u64),
    /// A roll-up. Behind all records of its destination, and in front of those of the next.
    RollUp(Box<RollUp>),
}
