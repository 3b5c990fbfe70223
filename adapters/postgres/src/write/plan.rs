//! Writes the records, summaries and outbox entry of a planned batch in one statement.

use std::sync::Arc;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{Batch, OutboxEntry, OutboxId};
use tallyhouse_core::{Key, Plan, RecordType, StoredRecord, rules_to_json};

use crate::sql::error::StoreError;
use crate::sql::row::{bigint, count, pg_timestamp};
use crate::sql::statement::Statement;
use crate::write::known::key_columns;

/// The stored state that a plan expects, besides free record ids.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    /// The stored summaries of the plan's keys in compact form, in the order of the plan; `None` for a key without
    /// records.
    pub(crate) summaries: Vec<Option<String>>,
    /// The version of the managed rules; `None` where they were read under locks.
    pub(crate) rules_version: Option<u64>,
    /// Keys without records whose rows this transaction has created to lock them.
    pub(crate) keys_to_remove: Vec<Key>,
}

/// The result of a write.
#[derive(Debug)]
pub(crate) enum Written {
    /// The plan is written, with this entry in the outbox if it has records.
    All(Option<OutboxEntry>),
    /// Nothing is written: a record id is taken.
    IdTaken,
    /// The transaction must be rolled back: a key has another summary.
    SummaryDiffers,
    /// The transaction must be rolled back: the managed rules have another version.
    RulesDiffer,
    /// The transaction must be rolled back: the predecessor's commit takes too long.
    PredecessorSlow,
}

impl Written {
    /// Reads the result of the SQL functions.
    fn read(first: i64, batch: &Batch, plan: &Plan, nonce: u64) -> Result<Self, StoreError> {
        match first {
            -1 => Ok(Self::IdTaken),
            -2 => Ok(Self::SummaryDiffers),
            -3 => Ok(Self::RulesDiffer),
            0 => Ok(Self::All(None)),
            first => {
                let last = first + row_count(plan) - 1;
                let (first, last) = (count(first)?, count(last)?);
                let id = OutboxId::new(first, nonce);
                Ok(Self::All(Some(OutboxEntry { id, first, last, processed_at: batch.now })))
            }
        }
    }
}

/// Writes a plan if the store is as expected: see `write_plan` in the migrations.
pub(crate) fn write_plan(
    connection: &mut PgConnection,
    batch: &Batch,
    plan: &Plan,
    expectations: &Expectations,
) -> Result<Written, StoreError> {
    let (destinations, references) = key_columns(expectations.keys_to_remove.iter());
    let statement = RecordColumns::of(&plan.stored)
        .bind(Statement::<BigInt>::new("SELECT write_plan("))
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(", ");
    let statement = bind_keys(statement, plan, expectations)
        .bind::<Array<Text>, _>(destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(references)
        .sql(", ");
    let nonce = random_nonce()?;
    let first = bind_end(statement, batch, expectations, nonce).get_result(connection)?;
    Written::read(first, batch, plan, nonce)
}

/// Inserts the records of a plan, and returns their slot. The first half of a pipelined commit; [`write_pipelined`] is
/// the second, in the same transaction.
pub(crate) fn insert_records(connection: &mut PgConnection, batch: &Batch, plan: &Plan) -> Result<i64, StoreError> {
    let statement = RecordColumns::of(&plan.stored)
        .bind(Statement::<BigInt>::new("SELECT insert_records("))
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(")");
    statement.get_result(connection).map_err(id_conflict)
}

/// Writes the rest of a plan whose records are inserted, if the store is as expected.
pub(crate) fn write_pipelined(
    connection: &mut PgConnection,
    batch: &Batch,
    plan: &Plan,
    expectations: &Expectations,
    slot: i64,
) -> Result<Written, StoreError> {
    let statement = Statement::<BigInt>::new("SELECT write_pipelined(")
        .bind::<BigInt, _>(slot)
        .sql(", ")
        .bind::<BigInt, _>(row_count(plan))
        .sql(", ")
        .bind::<Bool, _>(plan.stored.iter().any(|stored| !stored.alerts.is_empty()))
        .sql(", ")
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(", ");
    let nonce = random_nonce()?;
    let first =
        bind_end(bind_keys(statement, plan, expectations), batch, expectations, nonce).get_result(connection)?;
    Written::read(first, batch, plan, nonce)
}

/// Binds the keys of a plan: their columns, and their expected and planned summaries.
fn bind_keys<'a, ST>(
    statement: Statement<'a, ST>,
    plan: &'a Plan,
    expectations: &'a Expectations,
) -> Statement<'a, ST> {
    let (destinations, references) = key_columns(plan.summaries.iter().map(|(key, _)| key));
    let before: Vec<Option<&str>> = expectations.summaries.iter().map(Option::as_deref).collect();
    let after: Vec<String> = plan.summaries.iter().map(|(_, summary)| summary.to_compact()).collect();
    statement
        .bind::<Array<Text>, _>(destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(references)
        .sql(", ")
        .bind::<Array<Nullable<Text>>, _>(before)
        .sql(", ")
        .bind::<Array<Text>, _>(after)
        .sql(", ")
}

/// Binds the last parameters: the published outbox entries, the owner, and the version of the rules.
fn bind_end<'a, ST>(
    statement: Statement<'a, ST>,
    batch: &'a Batch,
    expectations: &Expectations,
    nonce: u64,
) -> Statement<'a, ST> {
    let (firsts, nonces) = id_columns(&batch.published);
    statement
        .bind::<Array<BigInt>, _>(firsts)
        .sql(", ")
        .bind::<Array<BigInt>, _>(nonces)
        .sql(", ")
        .bind::<Nullable<Text>, _>(batch.owner.as_ref().map(|owner| owner.as_str()))
        .sql(", ")
        .bind::<Nullable<Text>, _>(batch.owner.as_ref().and_then(|owner| owner.emitter()))
        .sql(", ")
        .bind::<BigInt, _>(nonce.cast_signed())
        .sql(", ")
        .bind::<Nullable<BigInt>, _>(expectations.rules_version.map(bigint))
        .sql(")")
}

/// Distinguishes a record id that is taken from every other failure.
fn id_conflict(error: DieselError) -> StoreError {
    match &error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, details)
            if details.constraint_name() == Some("records_pkey") =>
        {
            StoreError::IdConflict
        }
        _ => error.into(),
    }
}

/// Draws the number that identifies the outbox entry of a commit, with its first position.
fn random_nonce() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Misuse(format!("the system has no random numbers: {error}")))
}

/// Returns the ids of outbox entries as two columns.
pub(crate) fn id_columns(ids: &[OutboxId]) -> (Vec<i64>, Vec<i64>) {
    ids.iter().map(|id| (bigint(id.first()), id.nonce().cast_signed())).unzip()
}

fn row_count(plan: &Plan) -> i64 {
    i64::try_from(plan.stored.len()).unwrap_or(i64::MAX)
}

/// The records to insert, column by column, in the order of their ids: two transactions that insert the same ids do not
/// deadlock.
#[derive(Default)]
struct RecordColumns<'a> {
    record_ids: Vec<&'a str>,
    times: Vec<PgTimestamp>,
    source_ids: Vec<&'a str>,
    destination_ids: Vec<&'a str>,
    positives: Vec<bool>,
    values: Vec<String>,
    units: Vec<&'a str>,
    references: Vec<&'a str>,
    sequences: Vec<i64>,
    previous: Vec<Option<String>>,
    alerts: Vec<Option<String>>,
    traceparents: Vec<Option<&'a str>>,
    /// The place of each record in the batch.
    places: Vec<i64>,
}

impl<'a> RecordColumns<'a> {
    fn of(stored: &'a [Arc<StoredRecord>]) -> Self {
        let mut sorted: Vec<(i64, &StoredRecord)> = (0..).zip(stored.iter().map(AsRef::as_ref)).collect();
        sorted.sort_unstable_by_key(|(_, stored)| stored.processed.record.record_id.as_str());
        let mut columns = Self::default();
        for (place, stored) in sorted {
            columns.push(place, stored);
        }
        columns
    }

    fn push(&mut self, place: i64, stored: &'a StoredRecord) {
        let record = &stored.processed.record;
        self.record_ids.push(record.record_id.as_str());
        self.times.push(pg_timestamp(record.time));
        self.source_ids.push(record.source_id.as_str());
        self.destination_ids.push(record.destination_id.as_str());
        self.positives.push(record.record_type == RecordType::Positive);
        self.values.push(record.value.to_string());
        self.units.push(record.unit.as_str());
        self.references.push(record.reference.as_str());
        self.sequences.push(bigint(stored.processed.sequence));
        self.previous.push((stored.previous.count() > 0).then(|| stored.previous.to_compact()));
        self.alerts.push((!stored.alerts.is_empty()).then(|| rules_to_json(&stored.alerts)));
        self.traceparents.push(stored.traceparent.as_deref());
        self.places.push(place);
    }

    /// Binds the first parameters of `write_plan` and `insert_records`.
    fn bind<ST>(self, statement: Statement<'a, ST>) -> Statement<'a, ST> {
        statement
            .bind::<Array<Text>, _>(self.record_ids)
            .sql(", ")
            .bind::<Array<Timestamptz>, _>(self.times)
            .sql(", ")
            .bind::<Array<Text>, _>(self.source_ids)
            .sql(", ")
            .bind::<Array<Text>, _>(self.destination_ids)
            .sql(", ")
            .bind::<Array<Bool>, _>(self.positives)
            .sql(", ")
            .bind::<Array<Text>, _>(self.values)
            .sql(", ")
            .bind::<Array<Text>, _>(self.units)
            .sql(", ")
            .bind::<Array<Text>, _>(self.references)
            .sql(", ")
            .bind::<Array<BigInt>, _>(self.sequences)
            .sql(", ")
            .bind::<Array<Nullable<Text>>, _>(self.previous)
            .sql(", ")
            .bind::<Array<Nullable<Text>>, _>(self.alerts)
            .sql(", ")
            .bind::<Array<Nullable<Text>>, _>(self.traceparents)
            .sql(", ")
            .bind::<Array<BigInt>, _>(self.places)
            .sql(", ")
    }
}
