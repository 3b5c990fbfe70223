//! Conditions on records.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::sqlite::Sqlite;
use tallyhouse_core::{Filter, RecordId, RecordOrder, Timestamp};

use crate::sql::schema::records;

/// A query on records with conditions that are chosen at run time.
pub(crate) type Filtered<'a> = records::BoxedQuery<'a, Sqlite>;

/// Whether SQLite may choose an index for the conditions on `time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeBy {
    /// It may.
    Index,
    /// It checks them row by row: for answers in the order of destinations, where SQLite would otherwise find the rows by
    /// time and sort all of them.
    Row,
}

/// Returns a query on the records that match a filter.
pub(crate) fn filtered<'a>(filter: &Filter, time_by: TimeBy) -> Filtered<'a> {
    let mut found = records::table.into_boxed();
    if let Some(start) = filter.start {
        found = match time_by {
            TimeBy::Index => found.filter(records::time.ge(start.as_micros())),
            TimeBy::Row => found.filter((records::time + 0_i64).ge(start.as_micros())),
        };
    }
    if let Some(end) = filter.end {
        found = match time_by {
            TimeBy::Index => found.filter(records::time.lt(end.as_micros())),
            TimeBy::Row => found.filter((records::time + 0_i64).lt(end.as_micros())),
        };
    }
    if let Some(record_type) = filter.record_type {
        found = found.filter(records::record_type.eq(record_type.name()));
    }
    if let Some(id) = &filter.destination_id {
        found = found.filter(records::destination_id.eq(id.as_str().to_owned()));
    }
    if let Some(id) = &filter.source_id {
        found = found.filter(records::source_id.eq(id.as_str().to_owned()));
    }
    if let Some(reference) = &filter.reference {
        found = found.filter(records::reference.eq(reference.as_str().to_owned()));
    }
    if let Some(unit) = &filter.unit {
        found = found.filter(records::unit.eq(unit.as_str().to_owned()));
    }
    found
}

diesel::define_sql_function! {
    /// Returns where a text holds another one, or 0.
    fn instr(text: Nullable<Text>, part: Text) -> Nullable<Integer>;
}

/// The condition that a record comes after a place in the order of `time` and `recordId`, or in the reverse.
///
/// The query builder has no row values, and SQLite seeks a place in an index only for these. With AND and OR, each page
/// would scan all records of its first microsecond.
#[derive(Debug, Clone)]
pub(crate) struct After {
    time: i64,
    record_id: String,
    order: RecordOrder,
}

impl After {
    pub(crate) fn new(time: Timestamp, record_id: &RecordId, order: RecordOrder) -> Self {
        Self { time: time.as_micros(), record_id: record_id.as_str().to_owned(), order }
    }
}

impl Expression for After {
    type SqlType = Bool;
}

impl AppearsOnTable<records::table> for After {}
impl SelectableExpression<records::table> for After {}

impl<GroupBy> ValidGrouping<GroupBy> for After {
    type IsAggregate = diesel::expression::is_aggregate::No;
}

impl QueryId for After {
    // The SQL depends on the order.
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Sqlite> for After {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(match self.order {
            RecordOrder::OldestFirst => "(records.time, records.record_id) > (",
            RecordOrder::NewestFirst => "(records.time, records.record_id) < (",
        });
        out.push_bind_param::<BigInt, _>(&self.time)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.record_id)?;
        out.push_sql(")");
        Ok(())
    }
}
