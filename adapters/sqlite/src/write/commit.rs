//! The transaction: a batch of records with all that it causes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Nullable, Text};
use diesel::sqlite::Sqlite;
use tallyhouse_core::ports::{Batch, CommitOrder, Committed, OutboxEntry};
use tallyhouse_core::{Arrival, Key, Known, Outcome, Plan, ProcessedRecord, RecordId, StoredRecord, Summary, plan};

use crate::sql::error::{Failure, Unreadable};
use crate::sql::rows::{ProcessedRow, read_key, read_summary};
use crate::sql::schema::{outbox, records};
use crate::sql::statement::Statement;
use crate::write::outbox::{mark_published, read_entry};
use crate::write::pipelined::{CommitCache, Planned, RecordTexts, Texts};
use crate::write::rules;
use crate::write::writer::{Session, transaction};

/// One statement for all ids of a batch: at a thousand ids a fifth of the time of a thousand statements. CROSS JOIN
/// keeps SQLite from turning the loop round.
const KNOWN_RECORDS: &str = "SELECT position, record_id, time, source_id, destination_id, records.type, \
     records.value, unit, reference, sequence, processed_at FROM json_each(?) AS ids CROSS JOIN records ON records.record_id = ids.value";

/// Keys come as one array, destinations and references by turns.
const KNOWN_SUMMARIES: &str = "SELECT destination_id, reference, summary FROM json_each(?) AS keys \
     CROSS JOIN summaries ON destination_id = keys.value ->> 0 AND reference = keys.value ->> 1";

const WRITE_SUMMARY: &str = "INSERT INTO summaries (destination_id, reference, summary) VALUES (?, ?, ?) \
     ON CONFLICT (destination_id, reference) DO UPDATE SET summary = excluded.summary";

type ProcessedSql = (BigInt, Text, BigInt, Text, Text, Text, Text, Text, Text, BigInt, BigInt);

/// Commits a batch that may have been planned before; also returns the stored records, in order. `None` if a predecessor
/// is not committed yet. The write lock, taken at the beginning, is the lock on all keys. `planning` is dropped as soon
/// as the batch is planned, and the next one may be planned.
pub(crate) fn commit(
    session: &mut Session,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    planned: Option<Planned>,
    planning: impl Sized,
) -> Result<Option<Done>, Failure> {
    match commit_or_wait(session, batch, order, planned, planning) {
        Err(Failure::OutOfOrder) => Ok(None),
        done => done.map(Some),
    }
}

fn commit_or_wait(
    session: &mut Session,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    planned: Option<Planned>,
    planning: impl Sized,
) -> Result<Done, Failure> {
    let mut planning = Some(planning);
    if let Some(planned) = planned {
        planning = None;
        match commit_planned(session, batch, planned) {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            Err(failure) if is_id_taken(&failure) => session.cache.memory().unseen.learn(false),
            Err(failure) => return Err(failure),
        }
    }
    if session.cache.memory().unseen.is_open() {
        match commit_once(session, batch, order, Ids::New, &mut planning) {
            Ok(Some(done)) => return Ok(done),
            Ok(None) => {}
            Err(failure) if is_id_taken(&failure) => session.cache.memory().unseen.learn(false),
            Err(failure) => return Err(failure),
        }
    }
    let done = commit_once(session, batch, order, Ids::LookedUp, &mut planning)?;
    Ok(done.expect("a batch whose ids were looked up is always done"))
}

/// What a commit did, with what it has stored, in order.
type Done = (Committed, Vec<Arc<StoredRecord>>);

/// Whether the ids of a batch are taken for new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    New,
    LookedUp,
}

/// Writes a batch that was planned before; `None`, with nothing done, if something is not as it was expected.
fn commit_planned(session: &mut Session, batch: &Batch, planned: Planned) -> Result<Option<Done>, Failure> {
    let Planned { plan, texts, rules_version, pending } = planned;
    let Session { db, cache, data_version } = session;
    transaction(db, |db| {
        make_current(db, cache, data_version)?;
        if !pending.holds() || rules::version(db)? != rules_version {
            return Ok(None);
        }
        let entry = write(db, batch, &plan, &texts)?;
        remove_published(db, batch)?;
        Ok(Some((Committed { outcomes: plan.outcomes, entry }, plan.stored)))
    })
    .inspect(|done| {
        if done.is_some() {
            pending.committed();
        }
    })
}

/// Commits a batch; `None`, with nothing done, where a record is rejected that may be one that was processed before.
fn commit_once<O>(
    session: &mut Session,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    ids: Ids,
    planning: &mut Option<O>,
) -> Result<Option<Done>, Failure> {
    let Session { db, cache, data_version } = session;
    let mut pending = None;
    let done = transaction(db, |db| {
        make_current(db, cache, data_version)?;
        if !order.may_start() {
            return Err(Failure::OutOfOrder);
        }
        let mut known = Known { summaries: known_summaries(db, batch, cache)?, ..Known::default() };
        if ids == Ids::LookedUp {
            known.records = known_records(db, &batch.arrivals)?;
            cache.memory().unseen.learn(known.records.is_empty());
        }
        let rules = batch.rules.in_force(rules::version(db)?, || rules::managed(db))?;
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        if ids == Ids::New && plan.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_))) {
            return Ok(None);
        }
        pending = Some(cache.note(&plan, order));
        planning.take();
        let entry = write(db, batch, &plan, &Texts::of(&plan))?;
        remove_published(db, batch)?;
        Ok(Some((Committed { outcomes: plan.outcomes, entry }, plan.stored)))
    })?;
    if let Some(pending) = pending {
        pending.committed();
    }
    Ok(done)
}

/// Forgets what another connection may have changed. To be called in a transaction that has the write lock.
fn make_current(db: &mut SqliteConnection, cache: &CommitCache, data_version: &mut Option<i64>) -> Result<(), Failure> {
    let now: i64 = Statement::<BigInt, 0>::new("PRAGMA data_version", []).get_result(db)?;
    if data_version.replace(now) != Some(now) {
        cache.memory().forget();
    }
    Ok(())
}

fn is_id_taken(failure: &Failure) -> bool {
    match failure {
        Failure::Database(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, information)) => {
            information.message().ends_with("records.record_id")
        }
        _ => false,
    }
}

fn known_records(
    db: &mut SqliteConnection,
    arrivals: &[Arrival],
) -> Result<HashMap<RecordId, ProcessedRecord>, Failure> {
    let ids: Vec<&str> = arrivals.iter().map(|arrival| arrival.record.record_id.as_str()).collect();
    let ids = serde_json::to_string(&ids).expect("texts are always JSON");
    let rows: Vec<ProcessedRow> = Statement::<ProcessedSql, 1>::new(KNOWN_RECORDS, [&ids]).load(db)?;
    let known = |row: ProcessedRow| row.read().map(|known| (known.record.record_id.clone(), known));
    Ok(rows.into_iter().map(known).collect::<Result<_, Unreadable>>()?)
}

fn known_summaries(
    db: &mut SqliteConnection,
    batch: &Batch,
    cache: &CommitCache,
) -> Result<HashMap<Key, Summary>, Failure> {
    let mut known = HashMap::new();
    let mut others = HashSet::new();
    let memory = cache.memory();
    for key in batch.arrivals.iter().map(|arrival| arrival.record.key()) {
        if known.contains_key(&key) || others.contains(&key) {
            continue;
        }
        match memory.summaries.get(&key) {
            Some(summary) => drop(known.insert(key, summary.clone())),
            None => drop(others.insert(key)),
        }
    }
    drop(memory);
    if others.is_empty() {
        return Ok(known);
    }
    let mut keys: Vec<(&str, &str)> =
        others.iter().map(|key| (key.destination_id.as_str(), key.reference.as_str())).collect();
    // Neighbours in the table are read one after the other.
    keys.sort_unstable();
    let keys = serde_json::to_string(&keys).expect("texts are always JSON");
    let rows: Vec<(String, String, String)> =
        Statement::<(Text, Text, Text), 1>::new(KNOWN_SUMMARIES, [&keys]).load(db)?;
    for (destination_id, reference, summary) in rows {
        let key = read_key(&destination_id, &reference)?;
        known.insert(key, read_summary(&destination_id, &reference, &summary)?);
    }
    Ok(known)
}

fn write(db: &mut SqliteConnection, batch: &Batch, plan: &Plan, texts: &Texts) -> Result<Option<OutboxEntry>, Failure> {
    if plan.stored.is_empty() {
        return Ok(None);
    }
    let before: i64 = records::table.select(max(records::position)).first::<Option<i64>>(db)?.unwrap_or(0);
    let mut last = before;
    for (stored, texts) in plan.stored.iter().zip(&texts.records) {
        last += 1;
        InsertRecord::of(last, stored, texts).execute(db)?;
    }
    for ((key, _), summary) in plan.summaries.iter().zip(&texts.summaries) {
        let texts = [key.destination_id.as_str(), key.reference.as_str(), summary];
        Statement::<(), 3>::new(WRITE_SUMMARY, texts).execute(db)?;
    }
    add_entry(db, batch, before + 1, last).map(Some)
}

/// The statement that inserts one record. What Diesel builds for fourteen columns is walked through three times for
/// each record, some forty types deep: this is the same in one level.
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
    fn of(position: i64, stored: &'a StoredRecord, texts: &'a RecordTexts) -> Self {
        let record = &stored.processed.record;
        Self {
            position,
            record_id: record.record_id.as_str(),
            time: record.time.as_micros(),
            source_id: record.source_id.as_str(),
            destination_id: record.destination_id.as_str(),
            record_type: record.record_type.name(),
            value: &texts.value,
            unit: record.unit.as_str(),
            reference: record.reference.as_str(),
            sequence: i64::try_from(stored.processed.sequence).unwrap_or(i64::MAX),
            processed_at: stored.processed.processed_at.as_micros(),
            previous: texts.previous.as_deref(),
            alerts: texts.alerts.as_deref(),
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

fn add_entry(db: &mut SqliteConnection, batch: &Batch, first: i64, last: i64) -> Result<OutboxEntry, Failure> {
    diesel::insert_into(outbox::table)
        .values((
            outbox::first.eq(first),
            outbox::last.eq(last),
            outbox::processed_at.eq(batch.now.as_micros()),
            outbox::owner.eq(batch.owner.as_ref().map(|owner| owner.as_str())),
        ))
        .execute(db)?;
    Ok(read_entry((first, last))?)
}

fn remove_published(db: &mut SqliteConnection, batch: &Batch) -> Result<(), Failure> {
    match &batch.owner {
        Some(owner) => mark_published(db, owner, &batch.published),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
