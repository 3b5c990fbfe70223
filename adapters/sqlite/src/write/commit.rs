//! The transaction: a batch with all its effects.
//!
//! SQLite's write lock, taken at the beginning, is the lock on all keys. Summaries come from the cache if possible. While
//! all records are new, their ids are not looked up: the index on `record_id` refuses those that are taken, and the batch
//! is committed again with a look-up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Text};
use tallyhouse_core::ports::{Batch, CommitOrder, Committed};
use tallyhouse_core::{Arrival, Key, Known, Outcome, ProcessedRecord, RecordId, StoredRecord, Summary, plan};

use crate::sql::error::{StoreError, Unreadable};
use crate::sql::rows::{ProcessedRow, read_key, read_summary};
use crate::sql::statement::Statement;
use crate::write::commit_cache::{CommitCache, EncodedRows, PlannedBatch};
use crate::write::outbox::mark_published;
use crate::write::plan::write_plan;
use crate::write::rules;
use crate::write::writer::{Session, transaction};

/// One statement for all ids of a batch: at a thousand ids a fifth of the time of a thousand statements. CROSS JOIN keeps
/// SQLite from reordering the loops.
const KNOWN_RECORDS: &str = "SELECT position, record_id, time, source_id, destination_id, records.type, \
     records.value, unit, reference, sequence, processed_at FROM json_each(?) AS ids CROSS JOIN records ON records.record_id = ids.value";

/// The keys are an array of pairs: destination and reference.
const KNOWN_SUMMARIES: &str = "SELECT destination_id, reference, summary FROM json_each(?) AS keys \
     CROSS JOIN summaries ON destination_id = keys.value ->> 0 AND reference = keys.value ->> 1";

type ProcessedSql = (BigInt, Text, BigInt, Text, Text, Text, Text, Text, Text, BigInt, BigInt);

/// The result of a commit, and the records that it stored, in order.
type Done = (Committed, Vec<Arc<StoredRecord>>);

/// Whether the ids of a batch are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// They are assumed to be new.
    AssumedNew,
    LookedUp,
}

/// Commits a batch, which may be planned already; also returns the stored records, in order. Returns `None` if a
/// predecessor is not committed yet. `planning` is dropped as soon as the batch is planned: the next batch may be
/// planned then.
pub(crate) fn commit(
    session: &mut Session,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    planned: Option<PlannedBatch>,
    planning: impl Sized,
) -> Result<Option<Done>, StoreError> {
    let mut planning = Some(planning);
    if let Some(planned) = planned {
        planning = None;
        if let Some(done) = unless_id_taken(session, |session| commit_planned(session, batch, planned))? {
            return Ok(Some(done));
        }
    }
    if session.cache.state().ids_new.is_open() {
        let attempt = |session: &mut Session| commit_now(session, batch, order, Ids::AssumedNew, &mut planning);
        match unless_id_taken(session, attempt) {
            Err(StoreError::OutOfOrder) => return Ok(None),
            Ok(None) => {}
            done => return done,
        }
    }
    match commit_now(session, batch, order, Ids::LookedUp, &mut planning) {
        Err(StoreError::OutOfOrder) => Ok(None),
        done => done,
    }
}

/// Turns a taken id into `None`. From then on ids are looked up for a while.
fn unless_id_taken(
    session: &mut Session,
    attempt: impl FnOnce(&mut Session) -> Result<Option<Done>, StoreError>,
) -> Result<Option<Done>, StoreError> {
    match attempt(session) {
        Err(error) if is_id_taken(&error) => {
            session.cache.state().ids_new.record(false);
            Ok(None)
        }
        done => done,
    }
}

/// Writes a batch that is planned already. Returns `None`, with nothing written, if its plan is not current any more.
fn commit_planned(session: &mut Session, batch: &Batch, planned: PlannedBatch) -> Result<Option<Done>, StoreError> {
    let PlannedBatch { plan, rows, rules_version, pending } = planned;
    let Session { db, cache, data_version } = session;
    let done = transaction(db, |db| {
        invalidate_if_changed(db, cache, data_version)?;
        if !pending.is_current() || rules::version(db)? != rules_version {
            return Ok(None);
        }
        let entry = write_plan(db, batch, &plan, &rows)?;
        remove_published(db, batch)?;
        Ok(Some((Committed { outcomes: plan.outcomes, entry }, plan.stored)))
    })?;
    if done.is_some() {
        pending.committed();
    }
    Ok(done)
}

/// Plans and writes a batch in one transaction. Returns `None`, with nothing written, if a record is rejected that may
/// be a duplicate; not with [`Ids::LookedUp`].
fn commit_now<O>(
    session: &mut Session,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    ids: Ids,
    planning: &mut Option<O>,
) -> Result<Option<Done>, StoreError> {
    let Session { db, cache, data_version } = session;
    let mut pending = None;
    let done = transaction(db, |db| {
        invalidate_if_changed(db, cache, data_version)?;
        if !order.may_start() {
            return Err(StoreError::OutOfOrder);
        }
        let mut known = Known { summaries: known_summaries(db, batch, cache)?, ..Known::default() };
        if ids == Ids::LookedUp {
            known.records = known_records(db, &batch.arrivals)?;
            cache.state().ids_new.record(known.records.is_empty());
        }
        let rules = batch.rules.in_force(rules::version(db)?, || rules::managed(db))?;
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        if ids == Ids::AssumedNew && plan.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Rejected(_))) {
            return Ok(None);
        }
        pending = Some(cache.cache(&plan, order));
        planning.take();
        let entry = write_plan(db, batch, &plan, &EncodedRows::of(&plan))?;
        remove_published(db, batch)?;
        Ok(Some((Committed { outcomes: plan.outcomes, entry }, plan.stored)))
    })?;
    if let Some(pending) = pending {
        pending.committed();
    }
    Ok(done)
}

/// Invalidates the cache if another connection has written. To be called under the write lock.
fn invalidate_if_changed(
    db: &mut SqliteConnection,
    cache: &CommitCache,
    data_version: &mut Option<i64>,
) -> Result<(), StoreError> {
    let now: i64 = Statement::<BigInt, 0>::new("PRAGMA data_version", []).get_result(db)?;
    if data_version.replace(now) != Some(now) {
        cache.state().invalidate();
    }
    Ok(())
}

fn is_id_taken(error: &StoreError) -> bool {
    match error {
        StoreError::Database(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, details)) => {
            details.message().ends_with("records.record_id")
        }
        _ => false,
    }
}

fn known_records(
    db: &mut SqliteConnection,
    arrivals: &[Arrival],
) -> Result<HashMap<RecordId, ProcessedRecord>, StoreError> {
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
) -> Result<HashMap<Key, Summary>, StoreError> {
    let mut known = HashMap::new();
    let mut uncached = HashSet::new();
    let state = cache.state();
    for key in batch.arrivals.iter().map(|arrival| arrival.record.key()) {
        if known.contains_key(&key) || uncached.contains(&key) {
            continue;
        }
        match state.summaries.get(&key) {
            Some(summary) => drop(known.insert(key, summary.clone())),
            None => drop(uncached.insert(key)),
        }
    }
    drop(state);
    if uncached.is_empty() {
        return Ok(known);
    }
    let mut keys: Vec<(&str, &str)> =
        uncached.iter().map(|key| (key.destination_id.as_str(), key.reference.as_str())).collect();
    // Sorted, so that each page of the table is read once.
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

fn remove_published(db: &mut SqliteConnection, batch: &Batch) -> Result<(), StoreError> {
    match &batch.owner {
        Some(owner) => mark_published(db, owner, &batch.published),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
