//! Writes a plan: its records, its summaries, its outbox entry.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Nullable, Text};
use diesel::sqlite::Sqlite;
use tallyhouse_core::ports::{Batch, OutboxEntry};
use tallyhouse_core::{Plan, StoredRecord};

use crate::sql::error::StoreError;
use crate::sql::schema::{outbox, records};
use crate::sql::statement::Statement;
use crate::write::commit_cache::{EncodedRecord, EncodedRows};
use crate::write::outbox::read_entry;

const WRITE_SUMMARY: &str = "INSERT INTO summaries (destination_id, reference, summary) VALUES (?, ?, ?) \
     ON CONFLICT (destination_id, reference) DO UPDATE SET summary = excluded.summary";

/// Writes the records and summaries of a plan, and its outbox entry, which is returned; `None` for a plan without records.
pub(crate) fn write_plan(
    db: &mut SqliteConnection,
    batch: &Batch,
    plan: &Plan,
    rows: &EncodedRows,
) -> Result<Option<OutboxEntry>, StoreError> {
    if plan.stored.is_empty() {
        return Ok(None);
    }
    let before: i64 = records::table.select(max(records::position)).first::<Option<i64>>(db)?.unwrap_or(0);
    let mut last = before;
    for (stored, encoded) in plan.stored.iter().zip(&rows.records) {
        last += 1;
        InsertRecord::of(last, stored, encoded).execute(db)?;
    }
    for ((key, _), summary) in plan.summaries.iter().zip(&rows.summaries) {
        let texts = [key.destination_id.as_str(), key.reference.as_str(), summary];
        Statement::<(), 3>::new(WRITE_SUMMARY, texts).execute(db)?;
    }
    add_entry(db, batch, before + 1, last).map(Some)
}

/// The statement that inserts one record. The one that Diesel's query builder makes is walked three times per record,
/// some forty types deep.
struct InsertRecord<'a> {
    position: i64,
    record_id: &'a str,
    time: i64,
    source_id: &'a str,
    destination_id: &'a str,
    record_type: &'a str,
    value: &'a str,
    unit: &'a str,
    reference: &'a str,
    sequence: i64,
    processed_at: i64,
    previous: Option<&'a str>,
    alerts: Option<&'a str>,
    traceparent: Option<&'a str>,
}

impl<'a> InsertRecord<'a> {
    fn of(position: i64, stored: &'a StoredRecord, encoded: &'a EncodedRecord) -> Self {
        let record = &stored.processed.record;
        Self {
            position,
            record_id: record.record_id.as_str(),
            time: record.time.as_micros(),
            source_id: record.source_id.as_str(),
            destination_id: record.destination_id.as_str(),
            record_type: record.record_type.name(),
            value: &encoded.value,
            unit: record.unit.as_str(),
            reference: record.reference.as_str(),
            sequence: i64::try_from(stored.processed.sequence).unwrap_or(i64::MAX),
            processed_at: stored.processed.processed_at.as_micros(),
            previous: encoded.previous.as_deref(),
            alerts: encoded.alerts.as_deref(),
            traceparent: stored.traceparent.as_deref(),
        }
    }
}

impl QueryFragment<Sqlite> for InsertRecord<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        fn bind<'b, T, U>(out: &mut AstPass<'_, 'b, Sqlite>, value: &'b U, next: &str) -> QueryResult<()>
        where
            Sqlite: HasSqlType<T>,
            U: ToSql<T, Sqlite>,
        {
            out.push_bind_param::<T, U>(value)?;
            out.push_sql(next);
            Ok(())
        }
        out.push_sql(
            "INSERT INTO records (position, record_id, time, source_id, destination_id, type, value, unit, reference, \
             sequence, processed_at, previous, alerts, traceparent) VALUES (",
        );
        bind::<BigInt, _>(&mut out, &self.position, ", ")?;
        bind::<Text, _>(&mut out, &self.record_id, ", ")?;
        bind::<BigInt, _>(&mut out, &self.time, ", ")?;
        bind::<Text, _>(&mut out, &self.source_id, ", ")?;
        bind::<Text, _>(&mut out, &self.destination_id, ", ")?;
        bind::<Text, _>(&mut out, &self.record_type, ", ")?;
        bind::<Text, _>(&mut out, &self.value, ", ")?;
        bind::<Text, _>(&mut out, &self.unit, ", ")?;
        bind::<Text, _>(&mut out, &self.reference, ", ")?;
        bind::<BigInt, _>(&mut out, &self.sequence, ", ")?;
        bind::<BigInt, _>(&mut out, &self.processed_at, ", ")?;
        bind::<Nullable<Text>, _>(&mut out, &self.previous, ", ")?;
        bind::<Nullable<Text>, _>(&mut out, &self.alerts, ", ")?;
        bind::<Nullable<Text>, _>(&mut out, &self.traceparent, ")")
    }
}

impl QueryId for InsertRecord<'_> {
    type QueryId = InsertRecord<'static>;
}

impl RunQueryDsl<SqliteConnection> for InsertRecord<'_> {}

fn add_entry(db: &mut SqliteConnection, batch: &Batch, first: i64, last: i64) -> Result<OutboxEntry, StoreError> {
    let nonce = getrandom::u64().map_err(StoreError::NoRandomNumbers)?.cast_signed();
    diesel::insert_into(outbox::table)
        .values((
            outbox::first.eq(first),
            outbox::last.eq(last),
            outbox::nonce.eq(nonce),
            outbox::processed_at.eq(batch.now.as_micros()),
            outbox::owner.eq(batch.owner.as_ref().map(|owner| owner.as_str())),
            outbox::emitter.eq(batch.owner.as_ref().and_then(|owner| owner.emitter())),
        ))
        .execute(db)?;
    Ok(read_entry((first, last, nonce, batch.now.as_micros()))?)
}
