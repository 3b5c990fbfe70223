//! The full read for an audit: all tables in one snapshot, key by key.

use diesel::Queryable;
use diesel::connection::SimpleConnection;
use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};
use tallyhouse_core::ports::{AuditPart, PartStream, PortError};
use tallyhouse_core::{DestinationId, Period, RecordType, RollUp, Side, Sum, Timestamp, Unit};

use crate::connection::pool::Pools;
use crate::read::stream::{Cursor, Output, snapshot};
use crate::sql::error::StoreError;
use crate::sql::row::{
    MICROS_PER_DAY, PROCESSED_COLUMNS, STORED_COLUMNS, StoredRow, StoredSql, count, key, summary, timestamp,
};
use crate::sql::statement::Statement;

type AuditOutput = Output<(), AuditPart>;
type Summaries = Cursor<(Text, Text, Nullable<Text>), SummaryRow>;
type RollUps = Cursor<RollUpSql, RollUpRow>;
type Entries = Cursor<(BigInt, BigInt, Bool), (i64, i64, bool)>;
type RollUpSql = (Text, SmallInt, BigInt, Text, Bool, BigInt, Text, Timestamptz, Timestamptz);
type Records = Cursor<(StoredSql, Nullable<BigInt>), (StoredRow, Option<i64>)>;

/// A row of `summaries`.
#[derive(Queryable)]
struct SummaryRow {
    destination_id: String,
    reference: String,
    summary: Option<String>,
}

/// A row of `roll_ups`.
#[derive(Queryable)]
struct RollUpRow {
    destination_id: String,
    days: i16,
    /// Days since 1970-01-01; 0 for all time.
    starts: i64,
    unit: String,
    positive: bool,
    count: i64,
    sum: String,
    first: PgTimestamp,
    last: PgTimestamp,
}

impl RollUpRow {
    fn decode(&self) -> Option<RollUp> {
        let period = Period::of_days(self.days)?;
        let begin = match period {
            Period::Ever => Timestamp::MIN.as_micros(),
            Period::Day | Period::Days32 => self.starts.checked_mul(MICROS_PER_DAY)?,
        };
        Some(RollUp {
            destination_id: DestinationId::new(&self.destination_id).ok()?,
            period,
            begin,
            unit: Unit::new(&self.unit).ok()?,
            record_type: if self.positive { RecordType::Positive } else { RecordType::Negative },
            side: Side { count: u64::try_from(self.count).ok()?, sum: Sum::parse(&self.sum)? },
            first: timestamp(self.first)?,
            last: timestamp(self.last)?,
        })
    }
}

/// Starts to read everything.
pub(crate) async fn audit(pools: &Pools) -> Result<PartStream<AuditPart>, PortError> {
    let ((), parts) = snapshot(&pools.streams, &pools.upkeep, "reading everything for an audit", read).await?;
    Ok(parts)
}

fn read(connection: &mut PgConnection, output: &mut AuditOutput) -> Result<(), StoreError> {
    output.open(())?;
    // No index has the order of sequences, so the records are sorted first, which may take longer than any time-out.
    connection.batch_execute("SET LOCAL statement_timeout = 0")?;
    let rolled_up_to: i64 =
        Statement::<BigInt>::new("SELECT position FROM roll_up_position WHERE only_row").get_result(connection)?;
    if rolled_up_to > 0 {
        output.send(AuditPart::RolledUpTo(count(rolled_up_to)?))?;
    }
    let mut summaries = open_summaries(connection)?;
    let mut records = open_records(connection)?;
    let mut roll_ups = open_roll_ups(connection)?;
    while let Some(next) = next_key(connection, &mut summaries, &mut records)? {
        send_roll_ups(connection, &mut roll_ups, Some(&next.0), output)?;
        send_key(connection, &mut summaries, &next, output)?;
        while records.peek(connection)?.is_some_and(|(row, _)| row.key() == (&next.0, &next.1)) {
            if let Some((row, position)) = records.take() {
                output.send(record_part(row, position))?;
            }
        }
    }
    send_roll_ups(connection, &mut roll_ups, None, output)?;
    send_outbox(connection, output)
}

fn open_summaries(connection: &mut PgConnection) -> Result<Summaries, StoreError> {
    let declaration = Statement::new(
        "DECLARE summaries_cursor NO SCROLL CURSOR FOR SELECT destination_id, reference, summary FROM summaries \
         ORDER BY destination_id, reference",
    );
    Cursor::open(connection, "summaries_cursor", declaration)
}

fn open_records(connection: &mut PgConnection) -> Result<Records, StoreError> {
    let declaration = Statement::new("DECLARE records_cursor NO SCROLL CURSOR FOR SELECT ")
        .sql(PROCESSED_COLUMNS)
        .sql(STORED_COLUMNS)
        .sql(
            ", b.first + (r.slot - b.slot) FROM records r LEFT JOIN batches b \
             ON b.slot = r.slot & ~1048575::bigint AND r.slot - b.slot <= b.last - b.first \
             ORDER BY r.destination_id, r.reference, r.sequence",
        );
    Cursor::open(connection, "records_cursor", declaration)
}

fn open_roll_ups(connection: &mut PgConnection) -> Result<RollUps, StoreError> {
    let declaration = Statement::new(
        "DECLARE roll_ups_cursor NO SCROLL CURSOR FOR SELECT destination_id, days, \
         CASE WHEN days = 0 THEN 0 ELSE starts - date '1970-01-01' END::bigint, unit, positive, count, sum::text, \
         first, last FROM roll_ups ORDER BY destination_id, days, starts",
    );
    Cursor::open(connection, "roll_ups_cursor", declaration)
}

/// Sends the roll-ups of the destinations before `before`, or all that are left.
fn send_roll_ups(
    connection: &mut PgConnection,
    roll_ups: &mut RollUps,
    before: Option<&str>,
    output: &AuditOutput,
) -> Result<(), StoreError> {
    while roll_ups.peek(connection)?.is_some_and(|row| before.is_none_or(|before| row.destination_id.as_str() < before))
    {
        if let Some(row) = roll_ups.take() {
            let unreadable = || AuditPart::Unreadable(format!("a roll-up of {:?} can't be read", row.destination_id));
            output.send(row.decode().map_or_else(unreadable, |roll_up| AuditPart::RollUp(Box::new(roll_up))))?;
        }
    }
    Ok(())
}

/// Returns the smaller of the next keys of both cursors.
fn next_key(
    connection: &mut PgConnection,
    summaries: &mut Summaries,
    records: &mut Records,
) -> Result<Option<(String, String)>, StoreError> {
    let of_summary = summaries.peek(connection)?.map(|row| (row.destination_id.as_str(), row.reference.as_str()));
    let of_record = records.peek(connection)?.map(|(row, _)| row.key());
    let smaller = match (of_summary, of_record) {
        (Some(of_summary), Some(of_record)) => Some(of_summary.min(of_record)),
        (one, other) => one.or(other),
    };
    Ok(smaller.map(|(destination_id, reference)| (destination_id.to_owned(), reference.to_owned())))
}

fn send_key(
    connection: &mut PgConnection,
    summaries: &mut Summaries,
    (destination_id, reference): &(String, String),
    output: &AuditOutput,
) -> Result<(), StoreError> {
    let same = |row: &SummaryRow| row.destination_id == *destination_id && row.reference == *reference;
    let row = if summaries.peek(connection)?.is_some_and(same) { summaries.take() } else { None };
    let summary = match row.map(|row| summary(destination_id, reference, row.summary.as_deref())).transpose() {
        Ok(summary) => summary,
        Err(error) => {
            output.send(AuditPart::Unreadable(error.to_string()))?;
            None
        }
    };
    match key(destination_id, reference) {
        Ok(key) => output.send(AuditPart::Key(key, summary)),
        Err(error) => output.send(AuditPart::Unreadable(error.to_string())),
    }
}

fn record_part(row: StoredRow, position: Option<i64>) -> AuditPart {
    let id = row.processed.record_id.clone();
    let Some(position) = position.and_then(|position| u64::try_from(position).ok()) else {
        return AuditPart::Unreadable(format!("the record {id:?} has no position: its batch is missing"));
    };
    match row.decode() {
        Ok(stored) => AuditPart::Record(position, Box::new(stored)),
        Err(error) => AuditPart::Unreadable(error.to_string()),
    }
}

fn send_outbox(connection: &mut PgConnection, output: &AuditOutput) -> Result<(), StoreError> {
    let declaration = Statement::new(
        "DECLARE outbox_cursor NO SCROLL CURSOR FOR SELECT o.first, o.last, \
         EXISTS (SELECT 1 FROM batches b WHERE b.last = o.last AND b.first = o.first) FROM outbox o ORDER BY o.first",
    );
    let mut entries: Entries = Cursor::open(connection, "outbox_cursor", declaration)?;
    while entries.peek(connection)?.is_some() {
        if let Some((first, last, is_batch)) = entries.take() {
            output.send(AuditPart::Outbox(count(first)?, count(last)?))?;
            if !is_batch {
                // A part of the entry's batch is neither published nor in the outbox.
                let what = format!("the outbox entry of the positions {first} to {last} is that of no batch");
                output.send(AuditPart::Unreadable(what))?;
            }
        }
    }
    Ok(())
}
