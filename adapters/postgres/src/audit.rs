//! The full read for an audit: everything, in one snapshot, key by key.

use diesel::Queryable;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::sql_types::{BigInt, Nullable, Text};
use tallyhouse_core::ports::PortError;
use tallyhouse_core::{AuditPart, PartStream};

use crate::error::Fault;
use crate::pool::Pools;
use crate::row::{PROCESSED_COLUMNS, STORED_COLUMNS, StoredRow, StoredSql, count, key, summary};
use crate::statement::Statement;
use crate::stream::{Cursor, Output, snapshot};

type AuditOutput = Output<(), AuditPart>;
type Summaries = Cursor<(Text, Text, Nullable<Text>), SummaryRow>;
type Records = Cursor<(StoredSql, Nullable<BigInt>), (StoredRow, Option<i64>)>;

/// A running summary as it is kept.
#[derive(Queryable)]
struct SummaryRow {
    destination_id: String,
    reference: String,
    summary: Option<String>,
}

/// Begins to read everything.
pub(crate) async fn audit(pools: &Pools) -> Result<PartStream<AuditPart>, PortError> {
    let ((), parts) = snapshot(&pools.streams, &pools.upkeep, "reading everything for an audit", read).await?;
    Ok(parts)
}

fn read(connection: &mut PgConnection, output: &mut AuditOutput) -> Result<(), Fault> {
    output.open(())?;
    // There is no index in the order of sequences, which nobody else reads by: it is sorted once, for as long as it takes.
    connection.batch_execute("SET LOCAL statement_timeout = 0")?;
    let mut summaries = open_summaries(connection)?;
    let mut records = open_records(connection)?;
    while let Some(next) = next_key(connection, &mut summaries, &mut records)? {
        send_key(connection, &mut summaries, &next, output)?;
        while records.peek(connection)?.is_some_and(|(row, _)| row.key() == (&next.0, &next.1)) {
            if let Some((row, position)) = records.take() {
                output.send(record_part(row, position))?;
            }
        }
    }
    send_owed(connection, output)
}

fn open_summaries(connection: &mut PgConnection) -> Result<Summaries, Fault> {
    let declaration = Statement::new(
        "DECLARE kept NO SCROLL CURSOR FOR SELECT destination_id, reference, summary FROM summaries \
         ORDER BY destination_id, reference",
    );
    Cursor::open(connection, "kept", declaration)
}

fn open_records(connection: &mut PgConnection) -> Result<Records, Fault> {
    let declaration =
        Statement::new("DECLARE listed NO SCROLL CURSOR FOR SELECT ").sql(PROCESSED_COLUMNS).sql(STORED_COLUMNS).sql(
            ", b.first + (r.slot - b.slot) FROM records r LEFT JOIN batches b \
             ON b.slot = r.slot & ~1048575::bigint AND r.slot - b.slot <= b.last - b.first \
             ORDER BY r.destination_id, r.reference, r.sequence",
        );
    Cursor::open(connection, "listed", declaration)
}

/// Returns the smaller of the keys that the two cursors have come to.
fn next_key(
    connection: &mut PgConnection,
    summaries: &mut Summaries,
    records: &mut Records,
) -> Result<Option<(String, String)>, Fault> {
    let kept = summaries.peek(connection)?.map(|row| (row.destination_id.as_str(), row.reference.as_str()));
    let listed = records.peek(connection)?.map(|(row, _)| row.key());
    let smaller = match (kept, listed) {
        (Some(kept), Some(listed)) => Some(kept.min(listed)),
        (one, other) => one.or(other),
    };
    Ok(smaller.map(|(destination_id, reference)| (destination_id.to_owned(), reference.to_owned())))
}

fn send_key(
    connection: &mut PgConnection,
    summaries: &mut Summaries,
    (destination_id, reference): &(String, String),
    output: &AuditOutput,
) -> Result<(), Fault> {
    let same = |row: &SummaryRow| row.destination_id == *destination_id && row.reference == *reference;
    let row = if summaries.peek(connection)?.is_some_and(same) { summaries.take() } else { None };
    let kept = match row.map(|row| summary(destination_id, reference, row.summary.as_deref())).transpose() {
        Ok(kept) => kept,
        Err(fault) => {
            output.send(AuditPart::Unreadable(fault.to_string()))?;
            None
        }
    };
    match key(destination_id, reference) {
        Ok(key) => output.send(AuditPart::Key(key, kept)),
        Err(fault) => output.send(AuditPart::Unreadable(fault.to_string())),
    }
}

fn record_part(row: StoredRow, position: Option<i64>) -> AuditPart {
    let id = row.processed.record_id.clone();
    let Some(position) = position.and_then(|position| u64::try_from(position).ok()) else {
        return AuditPart::Unreadable(format!("the record {id:?} has no position: its batch is not there"));
    };
    match row.decode() {
        Ok(stored) => AuditPart::Record(position, Box::new(stored)),
        Err(fault) => AuditPart::Unreadable(fault.to_string()),
    }
}

fn send_owed(connection: &mut PgConnection, output: &AuditOutput) -> Result<(), Fault> {
    let declaration = Statement::new("DECLARE owing NO SCROLL CURSOR FOR SELECT first, last FROM owed ORDER BY first");
    let mut owed: Cursor<(BigInt, BigInt), (i64, i64)> = Cursor::open(connection, "owing", declaration)?;
    while owed.peek(connection)?.is_some() {
        if let Some((first, last)) = owed.take() {
            output.send(AuditPart::Owed(count(first)?, count(last)?))?;
        }
    }
    Ok(())
}
