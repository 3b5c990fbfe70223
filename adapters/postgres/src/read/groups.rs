//! Matching records grouped by destination: two cursors over one snapshot, one for totals and one for records, merged by
//! destination.

use diesel::Queryable;
use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use tallyhouse_core::ports::{GroupPart, Groups, PortError};
use tallyhouse_core::{DestinationId, GroupQuery, ProcessedRecord, RecordType, Side, Sum, Summary, Unit};

use crate::connection::pool::Pools;
use crate::read::stream::{Cursor, Output, ROWS_PER_FETCH, snapshot};
use crate::read::totals::{TotalsSource, bounded};
use crate::sql::error::StoreError;
use crate::sql::row::{PROCESSED_COLUMNS, ProcessedRow, ProcessedSql, count, limit, timestamp};
use crate::sql::statement::Statement;
use crate::write::roll_ups::RollUpWorker;

/// The opening is the last group of this page, if another page follows.
type GroupsOutput = Output<Option<DestinationId>, GroupPart>;

type TotalSql = (Text, Text, Bool, BigInt, Text, Timestamptz, Timestamptz);

/// The total of one destination, unit and type. Postgres adds `numeric` exactly, with the largest scale.
#[derive(Queryable)]
struct TotalRow {
    destination_id: String,
    unit: String,
    positive: bool,
    count: i64,
    sum: String,
    first: PgTimestamp,
    last: PgTimestamp,
}

/// Starts to read groups.
pub(crate) async fn groups(pools: &Pools, roll_ups: &RollUpWorker, query: GroupQuery) -> Result<Groups, PortError> {
    let roll_ups = roll_ups.clone();
    let work = move |connection: &mut PgConnection, output: &mut GroupsOutput| {
        let source = TotalsSource::choose(connection, &query, &roll_ups)?;
        read(connection, &query, &source, output)
    };
    let (next, parts) = snapshot(&pools.streams, &pools.upkeep, "reading groups", work).await?;
    Ok(Groups { parts, next })
}

fn read(
    connection: &mut PgConnection,
    query: &GroupQuery,
    source: &TotalsSource<'_>,
    output: &mut GroupsOutput,
) -> Result<(), StoreError> {
    let next = match query.limit {
        None => None,
        Some(0) => return output.open(None),
        Some(groups) => next_page(connection, source, groups)?,
    };
    output.open(next.clone())?;
    let until = next.as_ref();
    let mut totals = open_totals(connection, source, until)?;
    let mut records = if query.records { Some(open_records(connection, query, until)?) } else { None };
    while let Some((destination, summary)) = next_group(connection, &mut totals)? {
        let expected = summary.count();
        output.send(GroupPart::Group(destination.clone(), summary))?;
        if let Some(records) = &mut records {
            let sent = send_records(connection, records, &destination, output)?;
            if sent != expected {
                let detail = format!("{sent} records were read of the {expected} of destination {destination}");
                return Err(StoreError::Corrupt(detail));
            }
        }
    }
    Ok(())
}

/// Returns the last destination of this page, if another one follows it.
fn next_page(
    connection: &mut PgConnection,
    source: &TotalsSource<'_>,
    groups: usize,
) -> Result<Option<DestinationId>, StoreError> {
    let ends: Vec<String> = source
        .push(Statement::<Text>::new("SELECT DISTINCT r.destination_id"), None)
        .sql(" ORDER BY r.destination_id LIMIT 2 OFFSET ")
        .bind::<BigInt, _>(limit(groups) - 1)
        .load(connection)?;
    match ends.as_slice() {
        [last, _] => Ok(Some(destination(last)?)),
        _ => Ok(None),
    }
}

fn open_totals(
    connection: &mut PgConnection,
    source: &TotalsSource<'_>,
    until: Option<&DestinationId>,
) -> Result<Cursor<TotalSql, TotalRow>, StoreError> {
    let declaration = Statement::new(
        "DECLARE totals_cursor NO SCROLL CURSOR FOR SELECT r.destination_id, r.unit, r.positive, sum(r.count)::bigint, \
         sum(r.sum)::text, min(r.first), max(r.last)",
    );
    let declaration = source
        .push(declaration, until)
        .sql(" GROUP BY r.destination_id, r.unit, r.positive ORDER BY r.destination_id, r.unit, r.positive");
    Cursor::open(connection, "totals_cursor", declaration)
}

fn open_records(
    connection: &mut PgConnection,
    query: &GroupQuery,
    until: Option<&DestinationId>,
) -> Result<Cursor<ProcessedSql, ProcessedRow>, StoreError> {
    let declaration = Statement::new("DECLARE records_cursor NO SCROLL CURSOR FOR SELECT ").sql(PROCESSED_COLUMNS);
    let declaration = bounded(declaration.sql(" FROM records r").filtered(&query.filter), query, until)
        .sql(" ORDER BY r.destination_id, r.time, r.record_id");
    Cursor::open(connection, "records_cursor", declaration)
}

/// Combines the rows of the next group, one per unit and type.
fn next_group(
    connection: &mut PgConnection,
    totals: &mut Cursor<TotalSql, TotalRow>,
) -> Result<Option<(DestinationId, Summary)>, StoreError> {
    let Some(first) = totals.peek(connection)? else { return Ok(None) };
    let destination = destination(&first.destination_id)?;
    let mut summary = Summary::default();
    while totals.peek(connection)?.is_some_and(|row| row.destination_id == destination.as_str()) {
        if let Some(row) = totals.take() {
            let unreadable = || StoreError::Corrupt(format!("the totals of destination {destination} can't be read"));
            let unit = Unit::new(&row.unit).map_err(|_| unreadable())?;
            let record_type = if row.positive { RecordType::Positive } else { RecordType::Negative };
            let side = Side { count: count(row.count)?, sum: Sum::parse(&row.sum).ok_or_else(unreadable)? };
            let (first, last) = timestamp(row.first).zip(timestamp(row.last)).ok_or_else(unreadable)?;
            summary.add_side(&unit, record_type, side, first, last);
        }
    }
    Ok(Some((destination, summary)))
}

/// Sends the records of one group in parts, and returns their number.
fn send_records(
    connection: &mut PgConnection,
    records: &mut Cursor<ProcessedSql, ProcessedRow>,
    destination: &DestinationId,
    output: &GroupsOutput,
) -> Result<u64, StoreError> {
    let mut sent = 0;
    let mut part: Vec<ProcessedRecord> = Vec::new();
    while records.peek(connection)?.is_some_and(|row| row.destination_id == destination.as_str()) {
        if let Some(row) = records.take() {
            part.push(row.decode()?);
            sent += 1;
        }
        if part.len() == ROWS_PER_FETCH {
            output.send(GroupPart::Records(std::mem::take(&mut part)))?;
        }
    }
    if !part.is_empty() {
        output.send(GroupPart::Records(part))?;
    }
    Ok(sent)
}

fn destination(text: &str) -> Result<DestinationId, StoreError> {
    DestinationId::new(text).map_err(|error| StoreError::Corrupt(format!("the destination {text:?} {error}")))
}
