//! Short reads: each is one snapshot, and nearly each one statement.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{HistoryQuery, Page, PageBuilder, Weigh};
use tallyhouse_core::{RecordId, RecordOrder, RecordQuery, Reference, StoredRecord, Summary, SummaryQuery};

use crate::sql::error::StoreError;
use crate::sql::row::{
    PROCESSED_COLUMNS, STORED_COLUMNS, StoredRow, StoredSql, bigint, count, key, limit, pg_timestamp, summary,
};
use crate::sql::statement::Statement;

/// Rows of a page that are read by one statement. The default page of the API is one.
const CHUNK_ROWS: usize = 250;

/// Returns the stored record with this id.
pub(crate) fn find(connection: &mut PgConnection, id: &RecordId) -> Result<Option<StoredRecord>, StoreError> {
    let rows: Vec<StoredRow> =
        stored_records().sql(" FROM records r WHERE r.record_id = ").bind::<Text, _>(id.as_str()).load(connection)?;
    rows.into_iter().next().map(StoredRow::decode).transpose()
}

/// Returns the stored record of each of these ids.
pub(crate) fn find_all(
    connection: &mut PgConnection,
    ids: &[RecordId],
) -> Result<Vec<Option<StoredRecord>>, StoreError> {
    let texts: Vec<&str> = ids.iter().map(RecordId::as_str).collect();
    let rows: Vec<StoredRow> = stored_records()
        .sql(" FROM records r WHERE r.record_id = ANY(")
        .bind::<Array<Text>, _>(texts)
        .sql(")")
        .load(connection)?;
    let stored: Vec<StoredRecord> = rows.into_iter().map(StoredRow::decode).collect::<Result<_, _>>()?;
    let mut by_id: HashMap<RecordId, StoredRecord> =
        stored.into_iter().map(|stored| (stored.processed.record.record_id.clone(), stored)).collect();
    Ok(ids.iter().map(|id| by_id.remove(id)).collect())
}

/// Returns a page of records by time and id.
pub(crate) fn records(connection: &mut PgConnection, query: &RecordQuery) -> Result<Page<StoredRecord>, StoreError> {
    in_chunks(connection, query.limit, LookAhead::OneRow, |connection, last: Option<&StoredRecord>, limit| {
        let after = last.map(|last| (last.processed.record.time, last.processed.record.record_id.clone()));
        records_chunk(connection, &RecordQuery { after: after.or_else(|| query.after.clone()), limit, ..query.clone() })
    })
}

/// The comparison of rows is an index condition, so that a page among many records of one instant is found at once.
fn records_chunk(connection: &mut PgConnection, query: &RecordQuery) -> Result<Vec<StoredRecord>, StoreError> {
    let (follows, order) = match query.order {
        RecordOrder::OldestFirst => (" AND (r.time, r.record_id) > (", " ORDER BY r.time, r.record_id LIMIT "),
        RecordOrder::NewestFirst => {
            (" AND (r.time, r.record_id) < (", " ORDER BY r.time DESC, r.record_id DESC LIMIT ")
        }
    };
    let mut statement = stored_records().sql(" FROM records r").filtered(&query.filter);
    if let Some(alerting) = &query.alerting {
        statement = statement.sql(" AND r.alerts IS NOT NULL");
        if let Some(part) = alerting.json_part() {
            statement = statement.sql(" AND strpos(r.alerts, ").bind::<Text, _>(part).sql(") > 0");
        }
    }
    if let Some((time, id)) = &query.after {
        statement = statement
            .sql(follows)
            .bind::<Timestamptz, _>(pg_timestamp(*time))
            .sql(", ")
            .bind::<Text, _>(id.as_str())
            .sql(")");
    }
    let statement = statement.sql(order).bind::<BigInt, _>(limit(query.limit));
    statement.load::<StoredRow>(connection)?.into_iter().map(StoredRow::decode).collect()
}

/// Returns a page of the summaries of one destination.
pub(crate) fn summaries(
    connection: &mut PgConnection,
    query: &SummaryQuery,
) -> Result<Page<(Reference, Summary)>, StoreError> {
    in_chunks(connection, query.limit, LookAhead::OneRow, |connection, last: Option<&(Reference, Summary)>, limit| {
        let after = last.map(|(reference, _)| reference.clone()).or_else(|| query.after.clone());
        summaries_chunk(connection, &SummaryQuery { after, limit, ..query.clone() })
    })
}

fn summaries_chunk(
    connection: &mut PgConnection,
    query: &SummaryQuery,
) -> Result<Vec<(Reference, Summary)>, StoreError> {
    let destination = query.destination_id.as_str();
    let mut statement =
        Statement::<(Text, Nullable<Text>)>::new("SELECT reference, summary FROM summaries WHERE destination_id = ")
            .bind::<Text, _>(destination);
    if let Some(reference) = &query.reference {
        statement = statement.sql(" AND reference = ").bind::<Text, _>(reference.as_str());
    }
    if let Some(after) = &query.after {
        statement = statement.sql(" AND reference > ").bind::<Text, _>(after.as_str());
    }
    let statement = statement.sql(" ORDER BY reference LIMIT ").bind::<BigInt, _>(limit(query.limit));
    let rows: Vec<(String, Option<String>)> = statement.load(connection)?;
    let decode = |(reference, text): (String, Option<String>)| {
        let summary = summary(destination, &reference, text.as_deref())?;
        Ok((key(destination, &reference)?.reference, summary))
    };
    rows.into_iter().map(decode).collect()
}

/// Returns stored records by position.
pub(crate) fn history(
    connection: &mut PgConnection,
    query: HistoryQuery,
) -> Result<Vec<(u64, Arc<StoredRecord>)>, StoreError> {
    let read = |connection: &mut PgConnection, last: Option<&(u64, Arc<StoredRecord>)>, limit| match last {
        None => load_history(connection, first_chunk(HistoryQuery { limit, ..query })),
        Some((last, _)) => load_history(connection, chunk(HistoryQuery { after: *last, limit, ..query })),
    };
    Ok(in_chunks(connection, query.limit, LookAhead::None, read)?.rows)
}

type HistorySql = (BigInt, StoredSql);

/// Reads the first record in any case, and the rest as the query says.
fn first_chunk(query: HistoryQuery) -> Statement<'static, HistorySql> {
    if !query.alerting_only {
        return chunk(query);
    }
    let first = HistoryQuery { alerting_only: false, limit: query.limit.min(1), ..query };
    let rest = HistoryQuery { after: query.after.saturating_add(1), limit: query.limit.saturating_sub(1), ..query };
    let first = history_rows(Statement::new("("), first);
    history_rows(first.sql(") UNION ALL ("), rest).sql(") ORDER BY 1")
}

fn chunk(query: HistoryQuery) -> Statement<'static, HistorySql> {
    history_rows(Statement::new(""), query)
}

/// Appends a query that reads batches by the index of their positions, their records by the index of their slots, and no
/// more of either than the limit.
fn history_rows(statement: Statement<'static, HistorySql>, query: HistoryQuery) -> Statement<'static, HistorySql> {
    let (batches, records) =
        if query.alerting_only { (" AND b.alerting", " AND r.alerts IS NOT NULL") } else { ("", "") };
    let (after, limit) = (bigint(query.after), limit(query.limit));
    statement
        .sql("SELECT b.first + (r.slot - b.slot), ")
        .sql(PROCESSED_COLUMNS)
        .sql(STORED_COLUMNS)
        .sql(" FROM batches b CROSS JOIN LATERAL (SELECT * FROM records r WHERE r.slot >= b.slot + greatest(0, ")
        .bind::<BigInt, _>(after)
        .sql(" - b.first + 1) AND r.slot <= b.slot + (b.last - b.first)")
        .sql(records)
        .sql(" ORDER BY r.slot LIMIT ")
        .bind::<BigInt, _>(limit)
        .sql(") r WHERE b.last > ")
        .bind::<BigInt, _>(after)
        .sql(batches)
        .sql(" ORDER BY b.last, r.slot LIMIT ")
        .bind::<BigInt, _>(limit)
}

fn load_history(
    connection: &mut PgConnection,
    statement: Statement<'_, HistorySql>,
) -> Result<Vec<(u64, Arc<StoredRecord>)>, StoreError> {
    let rows: Vec<(i64, StoredRow)> = statement.load(connection)?;
    rows.into_iter().map(|(position, row)| Ok((count(position)?, Arc::new(row.decode()?)))).collect()
}

/// The rows that are read beyond a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookAhead {
    /// Nothing: nobody asks whether there is more.
    None,
    /// One row, which shows that there is more.
    OneRow,
}

/// Reads a page in chunks, until it is full or there are no more rows: the client library keeps all rows of a statement in
/// memory, and a row may be a hundred times as large as usual. Most pages are one chunk, which is a snapshot of its own;
/// several share one.
fn in_chunks<T: Weigh>(
    connection: &mut PgConnection,
    limit: usize,
    look_ahead: LookAhead,
    read: impl Fn(&mut PgConnection, Option<&T>, usize) -> Result<Vec<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    let look_ahead = match look_ahead {
        LookAhead::None => 0,
        LookAhead::OneRow => 1,
    };
    let rows_max = limit.saturating_add(look_ahead);
    if rows_max <= CHUNK_ROWS {
        return Page::take(read(connection, None, rows_max)?.into_iter().map(Ok), limit);
    }
    connection.build_transaction().repeatable_read().read_only().run(|connection| {
        let mut page = PageBuilder::new(limit);
        loop {
            let wanted = if page.is_full() { look_ahead } else { CHUNK_ROWS.min(rows_max - page.rows().len()) };
            let chunk = if wanted == 0 { Vec::new() } else { read(connection, page.rows().last(), wanted)? };
            let is_last = chunk.len() < wanted || wanted == 0;
            for row in chunk {
                if page.is_full() {
                    return Ok(page.end(true));
                }
                page.add(row);
            }
            if is_last {
                return Ok(page.end(false));
            }
        }
    })
}

/// Returns the last position.
pub(crate) fn head(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let last = Statement::<BigInt>::new("SELECT coalesce(max(last), 0) FROM batches").get_result(connection)?;
    count(last)
}

/// Checks that the server answers.
pub(crate) fn ping(connection: &mut PgConnection) -> Result<(), StoreError> {
    Ok(connection.batch_execute("SELECT 1")?)
}

/// Begins a statement that returns [`StoredRow`]s.
fn stored_records() -> Statement<'static, StoredSql> {
    Statement::new("SELECT ").sql(PROCESSED_COLUMNS).sql(STORED_COLUMNS)
}
