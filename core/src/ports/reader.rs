//! The reader port: queries over what is stored.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::Stream;

use crate::outcome::{ProcessedRecord, StoredRecord};
use crate::ports::error::PortError;
use crate::ports::page::Page;
use crate::query::{GroupQuery, RecordQuery, SummaryQuery};
use crate::record::text::{DestinationId, Key, RecordId, Reference};
use crate::roll_up::RollUp;
use crate::summary::Summary;

/// Answers queries over the stored records.
///
/// A page SHOULD end early once it weighs [`PAGE_WEIGHT_MAX`](crate::ports::PAGE_WEIGHT_MAX), as that of
/// [`Page::take`] does: an adapter MUST NOT load the rest of a page that is much larger. Fewer rows than asked for
/// therefore do not make a page the last one. [`Page::more`] MUST say whether there are rows behind it; a page of
/// `history`, which goes on for ever, is the last one for now if it is empty. Each page MUST be of one snapshot.
///
/// ```
/// use tallyhouse_core::ports::{HistoryQuery, PortError, RecordReader};
/// use tallyhouse_core::{RecordType, StoredRecord};
///
/// /// Counts the records of one type, page by page.
/// async fn count_negative(reader: &dyn RecordReader) -> Result<usize, PortError> {
///     let (mut after, mut count) = (0, 0);
///     loop {
///         let page = reader.history(HistoryQuery { after, alerting_only: false, limit: 100 }).await?;
///         let Some((last, _)) = page.last() else { return Ok(count) };
///         after = *last;
///         let is_negative = |stored: &StoredRecord| stored.processed.record.record_type == RecordType::Negative;
///         count += page.iter().filter(|(_, stored)| is_negative(stored)).count();
///     }
/// }
/// ```
#[async_trait]
pub trait RecordReader: Send + Sync {
    /// Returns the stored record with this id.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn find(&self, id: &RecordId) -> Result<Option<StoredRecord>, PortError>;

    /// Returns the stored records with these ids: for each id, in their order, its record or `None`.
    ///
    /// By default it looks up one id after the other. An adapter SHOULD read them together, and MUST answer from one
    /// snapshot then. A caller names a few hundred ids at most, since the answer is in memory as a whole, and none twice.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn find_all(&self, ids: &[RecordId]) -> Result<Vec<Option<StoredRecord>>, PortError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.push(self.find(id).await?);
        }
        Ok(found)
    }

    /// Returns a page of records, ordered by `time`, then `recordId` (bytes), in the order that the query asks for.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn records(&self, query: RecordQuery) -> Result<Page<StoredRecord>, PortError>;

    /// Returns a page of the running summaries of one destination, ordered by reference (bytes).
    ///
    /// # Errors
    /// The store can't answer now.
    async fn summaries(&self, query: SummaryQuery) -> Result<Page<(Reference, Summary)>, PortError>;

    /// Returns the matching records grouped by destination (bytes), from one snapshot.
    ///
    /// An adapter MUST stream in bounded memory, however many groups and records there are, and MUST stop reading soon
    /// after the stream is dropped. The same holds for a page of groups, which `limit` alone ends, however heavy its totals
    /// are. A group's summary MUST be exactly that of its matching records.
    ///
    /// # Errors
    /// The store can't answer now; also in the stream, where the error ends the answer.
    async fn groups(&self, query: GroupQuery) -> Result<Groups, PortError>;

    /// Returns stored records with their positions, in the order of positions: for catch-up, resumption and publishing.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn history(&self, query: HistoryQuery) -> Result<Vec<(u64, Arc<StoredRecord>)>, PortError>;

    /// Returns the last position, 0 if there is none.
    ///
    /// # Errors
    /// The store can't answer now.
    async fn head(&self) -> Result<u64, PortError>;

    /// Reads everything, in one snapshot, for an audit: key by key (sorted by bytes), each with its records by
    /// sequence, and last the outbox. A row that can't be read MUST be reported as [`AuditPart::Unreadable`], not
    /// skipped.
    ///
    /// # Errors
    /// The store can't answer now; also in the stream, where the error ends the audit.
    async fn audit(&self) -> Result<PartStream<AuditPart>, PortError>;
}

/// A page of the stored records by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only positions above this.
    pub after: u64,
    /// Only records that met a rule, and in any case the record at `after + 1`: a reader that resumes there learns from the
    /// same snapshot whether the history still has the record that it knows.
    pub alerting_only: bool,
    /// The most records to return, at least 1. The record at `after + 1` counts, also if it met no rule.
    pub limit: usize,
}

/// A stream of the parts of an answer, read in a snapshot of its own. `Stream` is that of the crate `futures-core`, which
/// `futures` re-exports; an adapter depends on either.
pub type PartStream<T> = Pin<Box<dyn Stream<Item = Result<T, PortError>> + Send>>;

/// The answer to a [`GroupQuery`]: one snapshot, in parts.
pub struct Groups {
    /// The parts. Dropping the stream early stops the read behind it.
    pub parts: PartStream<GroupPart>,
    /// The last group of this answer, where there are more groups than the limit.
    pub next: Option<DestinationId>,
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A part of the answer to a [`GroupQuery`]. Groups are ordered by destination. Each is followed by its records, if they
/// were asked for, in any number of parts, ordered by `time`, then `recordId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupPart {
    /// A group begins: its destination, and the exact summary of its matching records.
    Group(DestinationId, Summary),
    /// Some of its records.
    Records(Vec<ProcessedRecord>),
}

/// A part of a full read for an audit, ordered by key, then `sequence`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditPart {
    /// A key and its running summary; `None` where the summary is missing. Every key begins with this.
    Key(Key, Option<Summary>),
    /// One of the key's records, with its position.
    Record(u64, Box<StoredRecord>),
    /// A row that can't be read: where it is, and why.
    Unreadable(String),
    /// An outbox entry: its first and last position. In the order of first positions.
    Outbox(u64, u64),
    /// The position up to which records are rolled up. Comes before all other parts; absent if nothing is rolled up.
    RolledUpTo(u64),
    /// A roll-up. Comes after all records of its destination, and before those of the next.
    RollUp(Box<RollUp>),
}
