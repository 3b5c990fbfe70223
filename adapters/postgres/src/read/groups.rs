//! The records that match, grouped by destination: two cursors over one snapshot, one with the totals and one with the
//! records, merged as they both go by destination.

use diesel::Queryable;
use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Bool, Text, Timestamptz};
use tallyhouse_core::ports::{GroupPart, Groups, PortError};
use tallyhouse_core::{DestinationId, GroupQuery, ProcessedRecord, RecordType, Side, Sum, Summary, Unit};

use crate::connection::pool::Pools;
use crate::read::records::limit;
use crate::read::stream::{Cursor, Output, ROWS_PER_FETCH, snapshot};
use crate::sql::error::Fault;
use crate::sql::row::{PROCESSED_COLUMNS, ProcessedRow, ProcessedSql, count, timestamp};
use crate::sql::statement::Statement;
use crate::write::roll_ups::{RollUpWorker, Source, bounded};

/// What is known before the first group: where the next page begins.
type GroupsOutput = Output<Option<DestinationId>, GroupPart>;

type TotalSql = (Text, Text, Bool, BigInt, Text, Timestamptz, Timestamptz);

/// The records of one destination, unit and type, summed up. Postgres adds `numeric` exactly, with the largest scale.
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

/// Begins to read groups.
pub(crate) async fn groups(pools: &Pools, folder: &RollUpWorker, query: GroupQuery) -> Result<Groups, PortError> {
    let folder = folder.clone();
    let work = move |connection: &mut PgConnection, output: &mut GroupsOutput| {
        let source = Source::choose(connection, &query, &folder)?;
        read(connection, &query, &source, output)
    };
    let (next, parts) = snapshot(&pools.streams, &pools.upkeep, "reading groups", work).await?;
    Ok(Groups { parts, next })
}

fn read(
    connection: &mut PgConnection,
    query: &GroupQuery,
    source: &Source<'_>,
    output: &mut GroupsOutput,
) -> Result<(), Fault> {
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
        let promised = summary.count();
        output.send(GroupPart::Group(destination.clone(), summary))?;
        if let Some(records) = &mut records {
            let sent = send_records(connection, records, &destination, output)?;
            if sent != promised {
                let detail = format!("{sent} records were read of the {promised} of destination {destination}");
                return Err(Fault::Corrupt(detail));
            }
        }
    }
    Ok(())
}

/// Returns the last destination of this page, if another one follows it.
fn next_page(
    connection: &mut PgConnection,
    source: &Source<'_>,
    groups: usize,
) -> Result<Option<DestinationId>, Fault> {
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
    source: &Source<'_>,
    until: Option<&DestinationId>,
) -> Result<Cursor<TotalSql, TotalRow>, Fault> {
    let declaration = Statement::new(
        "DECLARE totals NO SCROLL CURSOR FOR SELECT r.destination_id, r.unit, r.positive, sum(r.count)::bigint, \
         sum(r.sum)::text, min(r.first), max(r.last)",
    );
    let declaration = source
        .push(declaration, until)
        .sql(" GROUP BY r.destination_id, r.unit, r.positive ORDER BY r.destination_id, r.unit, r.positive");
    Cursor::open(connection, "totals", declaration)
}

fn open_records(
    connection: &mut PgConnection,
    query: &GroupQuery,
    until: Option<&DestinationId>,
) -> Result<Cursor<ProcessedSql, ProcessedRow>, Fault> {
    let declaration = Statement::new("DECLARE listed NO SCROLL CURSOR FOR SELECT ").sql(PROCESSED_COLUMNS);
    let declaration = bounded(declaration.sql(" FROM records r").filtered(&query.filter), query, until)
        .sql(" ORDER BY r.destination_id, r.time, r.record_id");
    Cursor::open(connection, "listed", declaration)
}

/// Puts together the next group from the rows of its units and types.
fn next_group(
    connection: &mut PgConnection,
    totals: &mut Cursor<TotalSql, TotalRow>,
) -> Result<Option<(DestinationId, Summary)>, Fault> {
    let Some(first) = totals.peek(connection)? else { return Ok(None) };
    let destination = destination(&first.destination_id)?;
    let mut summary = Summary::default();
    while totals.peek(connection)?.is_some_and(|row| row.destination_id == destination.as_str()) {
        if let Some(row) = totals.take() {
            let unreadable = || Fault::Corrupt(format!("the totals of destination {destination} can't be read"));
            let unit = Unit::new(&row.unit).map_err(|_| unreadable())?;
            let record_type = if row.positive { RecordType::Positive } else { RecordType::Negative };
            let side = Side { count: count(row.count)?, sum: Sum::parse(&row.sum).ok_or_else(unreadable)? };
            let (first, last) = timestamp(row.first).zip(timestamp(row.last)).ok_or_else(unreadable)?;
            summary.add_side(&unit, record_type, side, first, last);
        }
    }
    Ok(Some((destination, summary)))
}

/// Sends the records of one group, in parts; returns how many there were.
fn send_records(
    connection: &mut PgConnection,
    records: &mut Cursor<ProcessedSql, ProcessedRow>,
    destination: &DestinationId,
    output: &GroupsOutput,
) -> Result<u64, Fault> {
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

fn destination(text: &str) -> Result<DestinationId, Fault> {
    DestinationId::new(text).map_err(|error| Fault::Corrupt(format!("the destination {text:?} {error}")))
}
