//! Short reads: each is one statement and therefore one snapshot.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::HistoryQuery;
use tallyhouse_core::{RecordId, RecordOrder, RecordQuery, Reference, StoredRecord, Summary, SummaryQuery};

use crate::sql::error::Fault;
use crate::sql::row::{
    PROCESSED_COLUMNS, STORED_COLUMNS, StoredRow, StoredSql, bigint, count, key, limit, pg_timestamp, summary,
};
use crate::sql::statement::Statement;

/// Returns the stored record with this id.
pub(crate) fn find(connection: &mut PgConnection, id: &RecordId) -> Result<Option<StoredRecord>, Fault> {
    let rows: Vec<StoredRow> =
        stored_records().sql(" FROM records r WHERE r.record_id = ").bind::<Text, _>(id.as_str()).load(connection)?;
    rows.into_iter().next().map(StoredRow::decode).transpose()
}

/// Returns a page of records by time and id. The comparison of rows is an index condition, so that a page among many
/// records of one instant is found at once.
pub(crate) fn records(connection: &mut PgConnection, query: &RecordQuery) -> Result<Vec<StoredRecord>, Fault> {
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
) -> Result<Vec<(Reference, Summary)>, Fault> {
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

/// Returns stored records by position: batches by the index of their positions, their records by the index of their
/// slots, and no more of either than the limit.
pub(crate) fn history(
    connection: &mut PgConnection,
    query: HistoryQuery,
) -> Result<Vec<(u64, Arc<StoredRecord>)>, Fault> {
    let (batches, records) =
        if query.alerting_only { (" AND b.alerting", " AND r.alerts IS NOT NULL") } else { ("", "") };
    let (after, limit) = (bigint(query.after), limit(query.limit));
    let rows: Vec<(i64, StoredRow)> = Statement::<(BigInt, StoredSql)>::new("SELECT b.first + (r.slot - b.slot), ")
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
        .load(connection)?;
    rows.into_iter().map(|(position, row)| Ok((count(position)?, Arc::new(row.decode()?)))).collect()
}

/// Returns the last position.
pub(crate) fn head(connection: &mut PgConnection) -> Result<u64, Fault> {
    let last = Statement::<BigInt>::new("SELECT coalesce(max(last), 0) FROM batches").get_result(connection)?;
    count(last)
}

/// Checks that the server answers.
pub(crate) fn ping(connection: &mut PgConnection) -> Result<(), Fault> {
    Ok(connection.batch_execute("SELECT 1")?)
}

/// Begins a statement that returns [`StoredRow`]s.
fn stored_records() -> Statement<'static, StoredSql> {
    Statement::new("SELECT ").sql(PROCESSED_COLUMNS).sql(STORED_COLUMNS)
}
