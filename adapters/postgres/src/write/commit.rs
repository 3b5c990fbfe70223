//! The transaction: a batch with all that it causes. Usually one statement (see [`Optimistic`]); where that can't be counted
//! on, four round trips whatever the size (BEGIN, `lock_and_read`, `write_optimistic`, COMMIT). The SQL is in
//! `migrations`; there is said what is locked, and in which order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::r2d2::R2D2Connection;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use tallyhouse_core::ports::{Batch, CommitOrder, Committed};
use tallyhouse_core::{Arrival, Key, Known, Outcome, Plan, Summary, plan};

use crate::sql::error::Fault;
use crate::sql::row::{ProcessedRow, count, summary};
use crate::sql::statement::Statement;
use crate::write::optimistic::Optimistic;
use crate::write::plan::{Expected, Written, key_columns, write};
use crate::write::rules;

/// How often a batch is begun in all when it clashes with others.
const ATTEMPTS: u32 = 5;

/// How long a batch steps back after its first clash, so that the other one comes through.
const PAUSE: Duration = Duration::from_millis(5);

/// The slots of one batch: see the table `batches`.
const RECORDS_MAX: usize = 1 << 20;

/// The version of the managed rules, and a row of `lock_and_read` or `read_known`.
type KnownSql = (
    BigInt,
    Nullable<Array<Nullable<Text>>>,
    Nullable<(Text, Timestamptz, Text, Text, Bool, Text, Text, Text, BigInt, Timestamptz)>,
);
type KnownRow = (i64, Option<Vec<Option<String>>>, Option<ProcessedRow>);

/// Why it is not known whether a batch has been committed: its connection was cut.
#[derive(Default)]
pub(crate) struct CommitUnknown(Mutex<Option<Fault>>);

impl CommitUnknown {
    fn cause(&self) -> MutexGuard<'_, Option<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves the question in a transaction that locks: if none of the records is there, nothing was committed, and an
    /// attempt that is still under way will fail once this one has taken its ids or keys. Until then the question
    /// remains.
    fn resolve(&self, known: &Known) -> Result<(), Fault> {
        if known.records.is_empty() {
            return Ok(());
        }
        // The records of this very attempt, or others sent before: only the caller can repeat all of it.
        self.cause().take().map_or(Ok(()), |cause| Err(Fault::CommitUnknown(Box::new(cause))))
    }
}

/// Commits a batch; `None` if a predecessor is not committed yet. Begins again by itself when it clashes with others. To
/// be called again, with the same `commit_unknown`, on another connection if this one was cut.
///
/// # Errors
/// Nothing is committed, except with [`Fault::CommitUnknown`] and [`Fault::InDoubt`], which say that nobody knows.
pub(crate) fn commit(
    connection: &mut PgConnection,
    batch: &Batch,
    order: &Arc<dyn CommitOrder>,
    optimistic: &Optimistic,
    commit_unknown: &CommitUnknown,
) -> Result<Option<Committed>, Fault> {
    if batch.arrivals.len() > RECORDS_MAX {
        return Err(Fault::Misuse(format!("a batch of {} records; {RECORDS_MAX} are allowed", batch.arrivals.len())));
    }
    let keys = sorted_keys(&batch.arrivals);
    if commit_unknown.cause().is_none() {
        match optimistic.commit(connection, batch, order, &keys) {
            Ok(None) => {}
            committed @ Ok(Some(_)) => return committed,
            Err(Fault::CommitUnknown(cause)) => {
                *commit_unknown.cause() = Some(*cause);
                return Err(Fault::InDoubt);
            }
            Err(fault) if fault.may_be_cut() && is_cut(connection) => {
                *commit_unknown.cause() = Some(fault);
                return Err(Fault::InDoubt);
            }
            Err(fault) => return Err(fault),
        }
    }
    if !order.predecessors_done() {
        return commit_unknown.cause().take().map_or(Ok(None), |cause| Err(Fault::CommitUnknown(Box::new(cause))));
    }
    let _locking = optimistic.locking();
    let mut attempt = 1;
    loop {
        match commit_locked(connection, batch, &keys, optimistic, commit_unknown) {
            Err(fault) if fault.is_passing() && attempt < ATTEMPTS => {
                // Begun again at once, it would meet the same transaction in the same place.
                sleep(PAUSE * attempt);
                attempt += 1;
            }
            done => {
                if done.is_ok() {
                    optimistic.count_locked();
                }
                return done.map(Some);
            }
        }
    }
}

fn is_cut(connection: &mut PgConnection) -> bool {
    connection.ping().is_err_and(|error| Fault::from(error).is_cut())
}

fn commit_locked(
    connection: &mut PgConnection,
    batch: &Batch,
    keys: &[Key],
    optimistic: &Optimistic,
    commit_unknown: &CommitUnknown,
) -> Result<Committed, Fault> {
    let mut written = false;
    let result = connection.build_transaction().read_committed().run(|connection| {
        let Found { known, texts, rules_version } = read(connection, Read::Locked, keys, Some(&batch.arrivals))?;
        commit_unknown.resolve(&known)?;
        let rules = batch.rules.in_force(rules_version, || rules::managed(connection))?;
        optimistic.learn(keys, &known);
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        if plan.stored.is_empty() && batch.published.is_empty() {
            return Err(End::Nothing(plan.outcomes));
        }
        let void = texts.new_ones().filter(|key| !is_changed(&plan, key)).cloned().collect();
        optimistic.note(&plan);
        let expected = Expected { summaries: texts.of_changed(&plan), void, ..Expected::default() };
        match write(connection, batch, &plan, &expected)? {
            Written::All(entry) => {
                written = true;
                Ok(Committed { outcomes: plan.outcomes, entry })
            }
            // Between the reading and the insert: under another key, which is not ours to lock.
            Written::IdTaken => Err(Fault::Raced.into()),
            Written::SummaryDiffers | Written::RulesDiffer | Written::Overdue => {
                Err(Fault::Misuse("what was locked has changed".to_owned()).into())
            }
        }
    });
    match result {
        Ok(committed) => Ok(committed),
        // Rolled back: so the rows that were created to lock new keys are gone, and nothing waits for the disk.
        Err(End::Nothing(outcomes)) => Ok(Committed { outcomes, entry: None }),
        Err(End::Fault(fault)) => {
            optimistic.forget(keys);
            // Cut while the COMMIT was under way.
            if written && fault.is_cut() { Err(Fault::CommitUnknown(Box::new(fault))) } else { Err(fault) }
        }
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

fn is_changed(plan: &Plan, key: &Key) -> bool {
    plan.summaries.binary_search_by(|(changed, _)| changed.cmp(key)).is_ok()
}

/// The summaries of a batch's keys in short form, before the batch; `None` for a new key.
pub(crate) struct Texts<'a>(Vec<(&'a Key, Option<String>)>);

impl<'a> Texts<'a> {
    pub(crate) fn of(keys: &'a [Key], known: &Known) -> Self {
        Self(keys.iter().map(|key| (key, known.summaries.get(key).map(Summary::to_compact))).collect())
    }

    fn new_ones(&self) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(|(_, text)| text.is_none()).map(|(key, _)| *key)
    }

    /// Returns those of the keys that a plan changes, in its order.
    pub(crate) fn of_changed(self, plan: &Plan) -> Vec<Option<String>> {
        self.0.into_iter().filter(|(key, _)| is_changed(plan, key)).map(|(_, text)| text).collect()
    }
}

/// What was read of what is stored.
pub(crate) struct Found<'a> {
    pub(crate) known: Known,
    /// The summaries to the letter.
    texts: Texts<'a>,
    pub(crate) rules_version: u64,
}

/// How what is stored is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Read {
    /// The keys are locked first, until the end of the transaction.
    Locked,
    /// As it is now.
    Unlocked,
}

/// Returns what is stored for the keys, which are sorted, and for the ids of these records, if they are asked for, with
/// the version of the managed rules: as of the beginning of the statement, so that it is that of every change that was
/// answered before the commit began.
pub(crate) fn read<'a>(
    connection: &mut PgConnection,
    how: Read,
    keys: &'a [Key],
    arrivals: Option<&[Arrival]>,
) -> Result<Found<'a>, Fault> {
    let (destinations, references) = key_columns(keys.iter());
    let ids: HashSet<&str> =
        arrivals.unwrap_or_default().iter().map(|arrival| arrival.record.record_id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let select = match how {
        Read::Locked => {
            "SELECT (SELECT v.version FROM alert_rules_version v WHERE v.only_row), k.* FROM lock_and_read("
        }
        Read::Unlocked => "SELECT (SELECT v.version FROM alert_rules_version v WHERE v.only_row), k.* FROM read_known(",
    };
    let rows: Vec<KnownRow> = Statement::<KnownSql>::new(select)
        .bind::<Array<Text>, _>(destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(references)
        .sql(", ")
        .bind::<Array<Text>, _>(ids)
        .sql(") AS k")
        .load(connection)?;
    let (mut known, mut texts, mut rules_version) = (Known::default(), Texts(Vec::new()), 0);
    for (version, summaries, record) in rows {
        rules_version = version;
        if let Some(summaries) = summaries {
            known.summaries = read_summaries(keys, &summaries)?;
            texts = Texts(keys.iter().zip(summaries).collect());
        }
        if let Some(record) = record {
            let record = record.decode()?;
            known.records.insert(record.record.record_id.clone(), record);
        }
    }
    Ok(Found { known, texts, rules_version: count(rules_version)? })
}

fn read_summaries(keys: &[Key], summaries: &[Option<String>]) -> Result<HashMap<Key, Summary>, Fault> {
    if summaries.len() != keys.len() {
        return Err(Fault::Misuse(format!("{} summaries were read for {} keys", summaries.len(), keys.len())));
    }
    let existing = keys.iter().zip(summaries).filter_map(|(key, text)| Some((key, text.as_deref()?)));
    existing
        .map(|(key, text)| Ok((key.clone(), summary(key.destination_id.as_str(), key.reference.as_str(), Some(text))?)))
        .collect()
}
