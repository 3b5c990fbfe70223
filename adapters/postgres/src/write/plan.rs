//! Writing a plan: one statement, whatever its size.

use std::sync::Arc;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{Batch, OutboxEntry, OutboxId};
use tallyhouse_core::{Key, Plan, RecordType, StoredRecord, rules_to_json};

use crate::sql::error::Fault;
use crate::sql::row::{bigint, count, pg_timestamp};
use crate::sql::statement::Statement;

/// What a plan counts on, beside its record ids being free.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// What the plan's keys have now, in short form, in the order of the plan; `None` for a key that has no record.
    pub(crate) summaries: Vec<Option<String>>,
    /// The version of the managed rules; `None` where they were read under lock.
    pub(crate) rules_version: Option<u64>,
    /// Keys whose rows were created by this transaction, and that no record came to.
    pub(crate) void: Vec<Key>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is written; the messages of these records are owed.
    All(Option<OutboxEntry>),
    /// Nothing is: a record id is taken.
    IdTaken,
    /// Nothing is, or may be: a key has another summary.
    SummaryDiffers,
    /// Nothing is, or may be: the managed rules have another version.
    RulesDiffer,
    /// Nothing is: the commit before has not ended for long.
    Overdue,
}

impl Written {
    fn read(first: i64, plan: &Plan) -> Result<Self, Fault> {
        match first {
            -1 => Ok(Self::IdTaken),
            -2 => Ok(Self::SummaryDiffers),
            -3 => Ok(Self::RulesDiffer),
            0 => Ok(Self::All(None)),
            first => {
                let last = first + bigint_of(plan.stored.len()) - 1;
                Ok(Self::All(Some(OutboxEntry { id: OutboxId(first), first: count(first)?, last: count(last)? })))
            }
        }
    }
}

/// Writes a plan, if things are as expected: see `write_optimistic` in the migrations.
pub(crate) fn write(
    connection: &mut PgConnection,
    batch: &Batch,
    plan: &Plan,
    expected: &Expected,
) -> Result<Written, Fault> {
    let (void_destinations, void_references) = key_columns(expected.void.iter());
    let statement = Columns::of(&plan.stored)
        .bind(Statement::<BigInt>::new("SELECT write_optimistic("))
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(", ");
    let statement = bind_keys(statement, plan, expected)
        .bind::<Array<Text>, _>(void_destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(void_references)
        .sql(", ");
    let first = bind_end(statement, batch, expected).get_result(connection)?;
    Written::read(first, plan)
}

/// Writes the records of a plan, and returns their slot. To be called in a transaction, and before [`write_pipelined`].
pub(crate) fn write_records(connection: &mut PgConnection, batch: &Batch, plan: &Plan) -> Result<i64, Fault> {
    let statement = Columns::of(&plan.stored)
        .bind(Statement::<BigInt>::new("SELECT write_records("))
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(")");
    statement.get_result(connection).map_err(raced)
}

/// Writes the rest of a plan, if things are as expected; otherwise the transaction is to be rolled back.
pub(crate) fn write_pipelined(
    connection: &mut PgConnection,
    batch: &Batch,
    plan: &Plan,
    expected: &Expected,
    slot: i64,
) -> Result<Written, Fault> {
    let statement = Statement::<BigInt>::new("SELECT write_pipelined(")
        .bind::<BigInt, _>(slot)
        .sql(", ")
        .bind::<BigInt, _>(bigint_of(plan.stored.len()))
        .sql(", ")
        .bind::<Bool, _>(plan.stored.iter().any(|stored| !stored.alerts.is_empty()))
        .sql(", ")
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(", ");
    let first = bind_end(bind_keys(statement, plan, expected), batch, expected).get_result(connection)?;
    Written::read(first, plan)
}

/// Binds the keys of a plan: their columns, and their summaries as expected and as planned.
fn bind_keys<'a, ST>(statement: Statement<'a, ST>, plan: &'a Plan, expected: &'a Expected) -> Statement<'a, ST> {
    let (destinations, references) = key_columns(plan.summaries.iter().map(|(key, _)| key));
    let before: Vec<Option<&str>> = expected.summaries.iter().map(Option::as_deref).collect();
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

/// Binds the last parameters: what is settled, by whom, and the rules.
fn bind_end<'a, ST>(statement: Statement<'a, ST>, batch: &'a Batch, expected: &Expected) -> Statement<'a, ST> {
    let settled: Vec<i64> = batch.published.iter().map(|id| id.0).collect();
    statement
        .bind::<Array<BigInt>, _>(settled)
        .sql(", ")
        .bind::<Nullable<Text>, _>(batch.owner.as_ref().map(|owner| owner.as_str()))
        .sql(", ")
        .bind::<Nullable<BigInt>, _>(expected.rules_version.map(bigint))
        .sql(")")
}

/// Tells a record id that is taken from every other failure.
fn raced(error: DieselError) -> Fault {
    match &error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, about)
            if about.constraint_name() == Some("records_pkey") =>
        {
            Fault::Raced
        }
        _ => error.into(),
    }
}

fn bigint_of(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Returns the two columns of keys.
pub(crate) fn key_columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<&'a str>, Vec<&'a str>) {
    keys.map(|key| (key.destination_id.as_str(), key.reference.as_str())).unzip()
}

/// The records to insert, column by column, in the order of their ids: two transactions that insert the same ones wait
/// for each other in the same order.
#[derive(Default)]
struct Columns<'a> {
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

impl<'a> Columns<'a> {
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

    /// Binds the first parameters of `write_optimistic` and `write_records`.
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
