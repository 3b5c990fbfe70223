//! The transaction: a batch with all that it causes, in four round trips whatever its size (BEGIN, `lock_and_read`,
//! `write_batch`, COMMIT). The SQL is in `migrations`; there is said what is locked, and in which order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{Batch, Committed, OwedBatch, OwedId};
use tallyhouse_core::{Arrival, Key, Known, Outcome, Plan, StoredRecord, plan, rules_to_json};

use crate::error::Fault;
use crate::row::{ProcessedRow, bigint, count, pg_timestamp, summary};
use crate::rules;
use crate::statement::Statement;

/// How often a batch is begun in all when it clashes with others.
const ATTEMPTS: u32 = 5;

/// How long a batch steps back after its first clash, so that the other one comes through.
const PAUSE: Duration = Duration::from_millis(5);

/// The slots of one batch: see the table `batches`.
const RECORDS_MAX: usize = 1 << 20;

/// The version of the managed rules, and a row of `lock_and_read`.
type KnownSql = (
    BigInt,
    Nullable<Array<Nullable<Text>>>,
    Nullable<(Text, Timestamptz, Text, Text, Bool, Text, Text, Text, BigInt, Timestamptz)>,
);
type KnownRow = (i64, Option<Vec<Option<String>>>, Option<ProcessedRow>);

/// Commits a batch. Begins again by itself when it clashes with others.
///
/// # Errors
/// Nothing is committed, except with [`Fault::Midway`], which says that nobody knows.
pub(crate) fn commit(connection: &mut PgConnection, batch: &Batch) -> Result<Committed, Fault> {
    if batch.arrivals.len() > RECORDS_MAX {
        return Err(Fault::Misuse(format!("a batch of {} records; {RECORDS_MAX} are allowed", batch.arrivals.len())));
    }
    let mut attempt = 1;
    loop {
        match commit_once(connection, batch) {
            Err(fault) if fault.is_passing() && attempt < ATTEMPTS => {
                // Begun again at once, it would meet the same transaction in the same place.
                sleep(PAUSE * attempt);
                attempt += 1;
            }
            done => return done,
        }
    }
}

fn commit_once(connection: &mut PgConnection, batch: &Batch) -> Result<Committed, Fault> {
    let mut written = false;
    let result = connection.build_transaction().read_committed().run(|connection| {
        let keys = sorted_keys(&batch.arrivals);
        let (known, rules_version) = lock_and_read(connection, &keys, &batch.arrivals)?;
        let void = Void::among(&keys, &known);
        let rules = batch.rules.in_force(rules_version, || rules::managed(connection))?;
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        if plan.stored.is_empty() && batch.settled.is_empty() {
            return Err(End::Nothing(plan.outcomes));
        }
        let owed = write(connection, batch, &plan, &void.left_by(&plan))?;
        written = true;
        Ok(Committed { outcomes: plan.outcomes, owed })
    });
    match result {
        Ok(committed) => Ok(committed),
        // Rolled back: so the rows that were created to lock new keys are gone, and nothing waits for the disk.
        Err(End::Nothing(outcomes)) => Ok(Committed { outcomes, owed: None }),
        // Cut while the COMMIT was under way.
        Err(End::Fault(fault)) if written && fault.is_cut() => Err(Fault::Midway(Box::new(fault))),
        Err(End::Fault(fault)) => Err(fault),
    }
}

/// Why the transaction does not commit.
enum End {
    /// There is nothing to write.
    Nothing(Vec<Outcome>),
    Fault(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<DieselError> for End {
    fn from(error: DieselError) -> Self {
        Self::Fault(error.into())
    }
}

/// The keys of a batch, sorted by bytes: the order in which every batch locks them, so that no two wait for each other.
fn sorted_keys(arrivals: &[Arrival]) -> Vec<Key> {
    let mut keys: Vec<Key> = arrivals.iter().map(|arrival| arrival.record.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Locks the keys, and returns what is stored, with the version of the managed rules: as of the beginning of the statement,
/// so that it is that of every change that was answered before the commit began.
fn lock_and_read(connection: &mut PgConnection, keys: &[Key], arrivals: &[Arrival]) -> Result<(Known, u64), Fault> {
    let (destinations, references) = key_columns(keys.iter());
    let ids: HashSet<&str> = arrivals.iter().map(|arrival| arrival.record.record_id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let select = "SELECT (SELECT v.version FROM alert_rules_version v WHERE v.only_row), k.* FROM lock_and_read(";
    let rows: Vec<KnownRow> = Statement::<KnownSql>::new(select)
        .bind::<Array<Text>, _>(destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(references)
        .sql(", ")
        .bind::<Array<Text>, _>(ids)
        .sql(") AS k")
        .load(connection)?;
    let (mut known, mut rules_version) = (Known::default(), 0);
    for (version, summaries, record) in rows {
        rules_version = version;
        if let Some(summaries) = summaries {
            known.summaries = read_summaries(keys, &summaries)?;
        }
        if let Some(record) = record {
            let record = record.decode()?;
            known.records.insert(record.record.record_id.clone(), record);
        }
    }
    Ok((known, count(rules_version)?))
}

fn read_summaries(keys: &[Key], summaries: &[Option<String>]) -> Result<HashMap<Key, tallyhouse_core::Summary>, Fault> {
    if summaries.len() != keys.len() {
        return Err(Fault::Misuse(format!("{} summaries were read for {} keys", summaries.len(), keys.len())));
    }
    let existing = keys.iter().zip(summaries).filter_map(|(key, text)| Some((key, text.as_deref()?)));
    existing
        .map(|(key, text)| Ok((key.clone(), summary(key.destination_id.as_str(), key.reference.as_str(), Some(text))?)))
        .collect()
}

/// The keys whose rows were created by this transaction.
struct Void<'a>(Vec<&'a Key>);

impl<'a> Void<'a> {
    fn among(keys: &'a [Key], known: &Known) -> Self {
        Self(keys.iter().filter(|key| !known.summaries.contains_key(key)).collect())
    }

    /// Those that only refusals touched: their rows go again.
    fn left_by(self, plan: &Plan) -> Vec<&'a Key> {
        let changed = |key: &Key| plan.summaries.binary_search_by(|(changed, _)| changed.cmp(key)).is_ok();
        self.0.into_iter().filter(|key| !changed(key)).collect()
    }
}

fn key_columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<&'a str>, Vec<&'a str>) {
    keys.map(|key| (key.destination_id.as_str(), key.reference.as_str())).unzip()
}

fn write(connection: &mut PgConnection, batch: &Batch, plan: &Plan, void: &[&Key]) -> Result<Option<OwedBatch>, Fault> {
    let (key_destinations, key_references) = key_columns(plan.summaries.iter().map(|(key, _)| key));
    let summaries: Vec<String> = plan.summaries.iter().map(|(_, summary)| summary.to_compact()).collect();
    let (void_destinations, void_references) = key_columns(void.iter().copied());
    let settled: Vec<i64> = batch.settled.iter().map(|id| id.0).collect();
    let columns = Columns::of(&plan.stored);
    let statement = columns
        .bind(Statement::<BigInt>::new("SELECT write_batch("))
        .bind::<Timestamptz, _>(pg_timestamp(batch.now))
        .sql(", ")
        .bind::<Array<Text>, _>(key_destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(key_references)
        .sql(", ")
        .bind::<Array<Text>, _>(summaries)
        .sql(", ")
        .bind::<Array<Text>, _>(void_destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(void_references)
        .sql(", ")
        .bind::<Array<BigInt>, _>(settled)
        .sql(", ")
        .bind::<Nullable<Text>, _>(batch.owner.as_ref().map(|owner| owner.as_str()))
        .sql(")");
    let first = count(statement.get_result(connection).map_err(raced)?)?;
    let stored = u64::try_from(plan.stored.len()).unwrap_or(u64::MAX);
    let owed = OwedBatch { id: OwedId(bigint(first)), first, last: first + stored.saturating_sub(1) };
    Ok((stored > 0).then_some(owed))
}

/// Tells a record id that another transaction has taken since ours were read from every other failure.
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
        self.positives.push(record.record_type == tallyhouse_core::RecordType::Positive);
        self.values.push(record.value.to_string());
        self.units.push(record.unit.as_str());
        self.references.push(record.reference.as_str());
        self.sequences.push(bigint(stored.processed.sequence));
        self.previous.push((stored.previous.count() > 0).then(|| stored.previous.to_compact()));
        self.alerts.push((!stored.alerts.is_empty()).then(|| rules_to_json(&stored.alerts)));
        self.traceparents.push(stored.traceparent.as_deref());
        self.places.push(place);
    }

    /// Binds the first thirteen parameters of `write_batch`.
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
