//! Matching records grouped by destination, streamed from one snapshot.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use tallyhouse_core::ports::{GroupPart, PageBuilder};
use tallyhouse_core::{DestinationId, Filter, GroupQuery, ProcessedRecord, RollUpPlan, Summary, Unit, Value};

use crate::connection::blocking_stream::{Parts, Stop};
use crate::read::totals;
use crate::sql::error::Unreadable;
use crate::sql::filter::{Filtered, TimeBy, filtered};
use crate::sql::rows::{At, ProcessedRow};
use crate::sql::schema::records;
use crate::write::roll_ups::RollUpWorker;

/// Records per part, and the most records of a group that are buffered until its totals are known. A larger group is read
/// twice.
const PART_RECORDS: usize = 500;

/// An item of the answer. The first one says whether another page follows.
pub(crate) enum Item {
    /// The last group of this answer, where there are more groups than the limit.
    Next(Option<DestinationId>),
    /// A part of the answer.
    Part(GroupPart),
}

/// The columns of a record that totals need: position, destination, time, type, value, unit.
type TotalsRow = (i64, String, i64, String, String, String);

/// Answers a query, in one read transaction.
pub(crate) fn groups(
    db: &mut SqliteConnection,
    query: &GroupQuery,
    roll_ups: &RollUpWorker,
    parts: &Parts<Item>,
) -> Result<(), Stop> {
    if query.limit == Some(0) {
        return parts.send(Item::Next(None));
    }
    let roll_up_plan = if query.records { None } else { RollUpPlan::of(&query.filter) };
    db.transaction(|db| {
        if let Some(plan) = &roll_up_plan {
            return totals::totals(db, query, plan, roll_ups, parts);
        }
        if !query.records {
            return send_totals(db, query, parts);
        }
        let page = match query.limit {
            Some(limit) => page_of(db, query, limit, parts)?,
            None => Page::All,
        };
        let until = match page {
            Page::All => None,
            Page::Until(last) => Some(last),
        };
        parts.send(Item::Next(until.clone()))?;
        Scan { query, until, parts }.send(db)
    })
}

/// The groups of an answer without records. Where groups are counted, those in front are buffered until it is known where the
/// page ends, as many as weigh a page; those behind them are counted only, and read again.
pub(crate) struct TotalsPage<'a> {
    parts: &'a Parts<Item>,
    /// `None` where groups are sent at once.
    buffered: Option<PageBuilder<(DestinationId, Summary)>>,
    limit: usize,
    groups: usize,
    last: Option<DestinationId>,
}

/// The groups of a page beyond the buffer.
pub(crate) struct Overflow {
    pub(crate) after: DestinationId,
    pub(crate) groups: usize,
}

impl<'a> TotalsPage<'a> {
    pub(crate) fn begin(parts: &'a Parts<Item>, limit: Option<usize>) -> Result<Self, Stop> {
        if limit.is_none() {
            parts.send(Item::Next(None))?;
        }
        let buffered = limit.map(|_| PageBuilder::new(usize::MAX));
        Ok(Self { parts, buffered, limit: limit.unwrap_or(usize::MAX), groups: 0, last: None })
    }

    /// Goes on with so many groups beyond the buffer.
    pub(crate) fn resume(parts: &'a Parts<Item>, groups: usize) -> Self {
        Self { parts, buffered: None, limit: groups, groups: 0, last: None }
    }

    pub(crate) fn add(&mut self, (destination_id, summary): (DestinationId, Summary)) -> Result<(), Stop> {
        self.groups += 1;
        self.last = Some(destination_id.clone());
        match &mut self.buffered {
            Some(page) if page.is_full() => Ok(()),
            Some(page) => {
                page.add((destination_id, summary));
                Ok(())
            }
            None => self.parts.send(Item::Part(GroupPart::Group(destination_id, summary))),
        }
    }

    /// Stops if the stream was dropped.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        self.parts.check()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.groups >= self.limit
    }

    /// Sends the buffered groups, and returns which are beyond the buffer.
    pub(crate) fn end(self, more: bool) -> Result<Option<Overflow>, Stop> {
        let Some(buffered) = self.buffered.map(|page| page.end(more).rows) else { return Ok(None) };
        self.parts.send(Item::Next(self.last.filter(|_| more)))?;
        let (groups, after) =
            (self.groups - buffered.len(), buffered.last().map(|(destination_id, _)| destination_id.clone()));
        for (destination_id, summary) in buffered {
            self.parts.send(Item::Part(GroupPart::Group(destination_id, summary)))?;
        }
        Ok(after.filter(|_| groups > 0).map(|after| Overflow { after, groups }))
    }
}

/// Sums up the matching records of each destination.
fn send_totals(db: &mut SqliteConnection, query: &GroupQuery, parts: &Parts<Item>) -> Result<(), Stop> {
    let page = TotalsPage::begin(parts, query.limit)?;
    let overflow = sum_up(db, &query.filter, query.after.as_ref(), page)?;
    if let Some(Overflow { after, groups }) = overflow {
        sum_up(db, &query.filter, Some(&after), TotalsPage::resume(parts, groups))?;
    }
    Ok(())
}

fn sum_up(
    db: &mut SqliteConnection,
    filter: &Filter,
    after: Option<&DestinationId>,
    mut page: TotalsPage<'_>,
) -> Result<Option<Overflow>, Stop> {
    let columns = (
        records::position,
        records::destination_id,
        records::time,
        records::record_type,
        records::value,
        records::unit,
    );
    let rows = by_destination(filter, after.map(DestinationId::as_str)).select(columns);
    let mut group: Option<(DestinationId, Summary)> = None;
    for row in rows.load_iter::<TotalsRow, DefaultLoadingMode>(db)? {
        page.check()?;
        let (position, destination_id, time, record_type, value, unit) = row?;
        let at = At(position);
        if group.as_ref().is_none_or(|(open, _)| open.as_str() != destination_id) {
            let next = at.text("destination_id", &destination_id, DestinationId::new)?;
            if let Some(done) = group.replace((next, Summary::default())) {
                page.add(done)?;
                if page.is_full() {
                    return page.end(true);
                }
            }
        }
        if let Some((_, summary)) = &mut group {
            let time = at.time("time", time)?;
            let value = at.text("value", &value, Value::parse)?;
            summary.add_value(time, at.record_type(&record_type)?, value, &at.text("unit", &unit, Unit::new)?);
        }
    }
    if let Some(done) = group {
        page.add(done)?;
    }
    page.end(false)
}

/// Which groups belong to an answer with records.
enum Page {
    /// All groups.
    All,
    /// Those up to this one; there are more.
    Until(DestinationId),
}

/// Finds the end of a page: a seek for each of its groups, and one for the group after it.
fn page_of(db: &mut SqliteConnection, query: &GroupQuery, limit: usize, parts: &Parts<Item>) -> Result<Page, Stop> {
    let mut last = query.after.as_ref().map(|id| id.as_str().to_owned());
    for _ in 0..limit {
        parts.check()?;
        match next_destination(db, &query.filter, last.as_deref())? {
            Some(id) => last = Some(id),
            None => return Ok(Page::All),
        }
    }
    let more = next_destination(db, &query.filter, last.as_deref())?.is_some();
    match last.filter(|_| more) {
        Some(id) => Ok(Page::Until(read_destination(&id)?)),
        None => Ok(Page::All),
    }
}

fn next_destination(
    db: &mut SqliteConnection,
    filter: &Filter,
    after: Option<&str>,
) -> Result<Option<String>, diesel::result::Error> {
    by_destination(filter, after).select(records::destination_id).first(db).optional()
}

/// Returns the matching records after a destination, in the order of their index.
pub(crate) fn by_destination<'a>(filter: &Filter, after: Option<&str>) -> Filtered<'a> {
    let found = filtered(filter, TimeBy::Row).order((records::destination_id, records::time, records::record_id));
    match after {
        Some(id) => found.filter(records::destination_id.gt(id.to_owned())),
        None => found,
    }
}

/// A scan of the records of an answer that lists them.
struct Scan<'a> {
    query: &'a GroupQuery,
    until: Option<DestinationId>,
    parts: &'a Parts<Item>,
}

impl Scan<'_> {
    fn rows<'q>(&self, after: Option<&DestinationId>) -> Filtered<'q> {
        let found = by_destination(&self.query.filter, after.map(DestinationId::as_str));
        match &self.until {
            Some(until) => found.filter(records::destination_id.le(until.as_str().to_owned())),
            None => found,
        }
    }

    /// Reads group after group, and starts a new scan after each one that is too large to buffer.
    fn send(&self, db: &mut SqliteConnection) -> Result<(), Stop> {
        let mut after = self.query.after.clone();
        while let Some((destination_id, summary)) = self.send_small_groups(db, after.as_ref())? {
            self.send_group(Some((destination_id.clone(), summary)))?;
            self.send_records_of(db, &destination_id)?;
            after = Some(destination_id);
        }
        Ok(())
    }

    /// Sends groups until the end, or until one is too large to buffer: that one is only summed up, and returned.
    fn send_small_groups(
        &self,
        db: &mut SqliteConnection,
        after: Option<&DestinationId>,
    ) -> Result<Option<(DestinationId, Summary)>, Stop> {
        let rows = self.rows(after).select(ProcessedRow::as_select());
        let mut group: Option<BufferedGroup> = None;
        for row in rows.load_iter::<ProcessedRow, DefaultLoadingMode>(db)? {
            self.parts.check()?;
            let processed = row?.read()?;
            match &mut group {
                Some(open) if open.destination_id == processed.record.destination_id => open.add(processed),
                _ => match group.replace(BufferedGroup::begin(processed)).map(BufferedGroup::end) {
                    Some(GroupEnd::TooLarge(destination_id, summary)) => return Ok(Some((destination_id, summary))),
                    Some(GroupEnd::Whole(destination_id, summary, records)) => {
                        self.send_group(Some((destination_id, summary)))?;
                        self.parts.send(Item::Part(GroupPart::Records(records)))?;
                    }
                    None => {}
                },
            }
        }
        match group.map(BufferedGroup::end) {
            Some(GroupEnd::TooLarge(destination_id, summary)) => Ok(Some((destination_id, summary))),
            Some(GroupEnd::Whole(destination_id, summary, records)) => {
                self.send_group(Some((destination_id, summary)))?;
                self.parts.send(Item::Part(GroupPart::Records(records)))?;
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn send_group(&self, group: Option<(DestinationId, Summary)>) -> Result<(), Stop> {
        match group {
            Some((destination_id, summary)) => self.parts.send(Item::Part(GroupPart::Group(destination_id, summary))),
            None => Ok(()),
        }
    }

    fn send_records_of(&self, db: &mut SqliteConnection, destination_id: &DestinationId) -> Result<(), Stop> {
        let rows = one_group(&self.query.filter, destination_id).select(ProcessedRow::as_select());
        let mut buffer = Vec::with_capacity(PART_RECORDS);
        for row in rows.load_iter::<ProcessedRow, DefaultLoadingMode>(db)? {
            buffer.push(row?.read()?);
            if buffer.len() == PART_RECORDS {
                let full = std::mem::replace(&mut buffer, Vec::with_capacity(PART_RECORDS));
                self.parts.send(Item::Part(GroupPart::Records(full)))?;
            }
        }
        if buffer.is_empty() { Ok(()) } else { self.parts.send(Item::Part(GroupPart::Records(buffer))) }
    }
}

/// Returns the matching records of one destination.
pub(crate) fn one_group<'a>(filter: &Filter, destination_id: &DestinationId) -> Filtered<'a> {
    let filter = Filter { destination_id: Some(destination_id.clone()), ..filter.clone() };
    filtered(&filter, TimeBy::Index).order((records::time, records::record_id))
}

fn read_destination(id: &str) -> Result<DestinationId, Unreadable> {
    let row = || format!("table records, destination {id:?}");
    DestinationId::new(id).map_err(|error| Unreadable { row: row(), what: error.to_string() })
}

/// A group whose records are buffered until its totals are known, unless they are too many.
struct BufferedGroup {
    destination_id: DestinationId,
    summary: Summary,
    records: Vec<ProcessedRecord>,
}

enum GroupEnd {
    Whole(DestinationId, Summary, Vec<ProcessedRecord>),
    TooLarge(DestinationId, Summary),
}

impl BufferedGroup {
    fn begin(first: ProcessedRecord) -> Self {
        let destination_id = first.record.destination_id.clone();
        let mut group = Self { destination_id, summary: Summary::default(), records: Vec::new() };
        group.add(first);
        group
    }

    fn add(&mut self, processed: ProcessedRecord) {
        self.summary.add(&processed.record);
        // One record more than fits marks a group that is too large.
        if self.records.len() <= PART_RECORDS {
            self.records.push(processed);
        }
    }

    fn end(self) -> GroupEnd {
        if self.records.len() > PART_RECORDS {
            GroupEnd::TooLarge(self.destination_id, self.summary)
        } else {
            GroupEnd::Whole(self.destination_id, self.summary, self.records)
        }
    }
}

#[cfg(test)]
mod tests;
