//! Reads the input of a plan in one statement: summaries by key, records by id, the rules' version.

use std::collections::{HashMap, HashSet};

use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use tallyhouse_core::{Arrival, Key, Known, Plan, Summary};

use crate::sql::error::StoreError;
use crate::sql::row::{ProcessedRow, count, summary};
use crate::sql::statement::Statement;

/// The version of the managed rules, then a row of `lock_and_read` or `read_known`.
type StoredSql = (
    BigInt,
    Nullable<Array<Nullable<Text>>>,
    Nullable<(Text, Timestamptz, Text, Text, Bool, Text, Text, Text, BigInt, Timestamptz)>,
);
type StoredRow = (i64, Option<Vec<Option<String>>>, Option<ProcessedRow>);

/// Whether the keys are locked before they are read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyLocks {
    /// They are, until the transaction ends. Missing rows are created.
    Taken,
    /// They are not.
    None,
}

/// The stored state of a batch's keys and ids.
pub(crate) struct Stored<'a> {
    pub(crate) known: Known,
    pub(crate) summaries: CompactSummaries<'a>,
    pub(crate) rules_version: u64,
}

/// The stored summaries of a batch's keys in compact form, byte for byte; `None` for a key without records.
pub(crate) struct CompactSummaries<'a>(Vec<(&'a Key, Option<String>)>);

impl<'a> CompactSummaries<'a> {
    pub(crate) fn of(keys: &'a [Key], known: &Known) -> Self {
        Self(keys.iter().map(|key| (key, known.summaries.get(key).map(Summary::to_compact))).collect())
    }

    /// Returns the keys without records that a plan leaves without records.
    pub(crate) fn unchanged_empty_keys(&self, plan: &Plan) -> Vec<Key> {
        let is_empty = |(key, summary): &&(&Key, Option<String>)| summary.is_none() && !is_changed(plan, key);
        self.0.iter().filter(is_empty).map(|(key, _)| (*key).clone()).collect()
    }

    /// Returns the summaries of the keys that a plan changes, in the order of the plan.
    pub(crate) fn of_changed(self, plan: &Plan) -> Vec<Option<String>> {
        self.0.into_iter().filter(|(key, _)| is_changed(plan, key)).map(|(_, summary)| summary).collect()
    }
}

fn is_changed(plan: &Plan, key: &Key) -> bool {
    plan.summaries.binary_search_by(|(changed, _)| changed.cmp(key)).is_ok()
}

/// Returns the keys of a batch without repeats, sorted by bytes. All commits lock keys in this order, so that no two of
/// them deadlock.
pub(crate) fn sorted_keys(arrivals: &[Arrival]) -> Vec<Key> {
    let mut keys: Vec<Key> = arrivals.iter().map(|arrival| arrival.record.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Reads the stored state of sorted keys, and of the ids of these records if any are given. The version of the rules is
/// as of the beginning of the statement: it includes every change that was acknowledged before the commit began.
pub(crate) fn read<'a>(
    connection: &mut PgConnection,
    locks: KeyLocks,
    keys: &'a [Key],
    arrivals: Option<&[Arrival]>,
) -> Result<Stored<'a>, StoreError> {
    let (destinations, references) = key_columns(keys.iter());
    let ids: HashSet<&str> =
        arrivals.unwrap_or_default().iter().map(|arrival| arrival.record.record_id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let select = match locks {
        KeyLocks::Taken => {
            "SELECT (SELECT v.version FROM alert_rules_version v WHERE v.only_row), k.* FROM lock_and_read("
        }
        KeyLocks::None => "SELECT (SELECT v.version FROM alert_rules_version v WHERE v.only_row), k.* FROM read_known(",
    };
    let rows: Vec<StoredRow> = Statement::<StoredSql>::new(select)
        .bind::<Array<Text>, _>(destinations)
        .sql(", ")
        .bind::<Array<Text>, _>(references)
        .sql(", ")
        .bind::<Array<Text>, _>(ids)
        .sql(") AS k")
        .load(connection)?;
    let mut stored = Stored { known: Known::default(), summaries: CompactSummaries(Vec::new()), rules_version: 0 };
    for (version, summaries, record) in rows {
        stored.rules_version = count(version)?;
        if let Some(summaries) = summaries {
            stored.known.summaries = read_summaries(keys, &summaries)?;
            stored.summaries = CompactSummaries(keys.iter().zip(summaries).collect());
        }
        if let Some(record) = record {
            let record = record.decode()?;
            stored.known.records.insert(record.record.record_id.clone(), record);
        }
    }
    Ok(stored)
}

fn read_summaries(keys: &[Key], summaries: &[Option<String>]) -> Result<HashMap<Key, Summary>, StoreError> {
    if summaries.len() != keys.len() {
        return Err(StoreError::Misuse(format!("{} summaries were read for {} keys", summaries.len(), keys.len())));
    }
    let existing = keys.iter().zip(summaries).filter_map(|(key, text)| Some((key, text.as_deref()?)));
    existing
        .map(|(key, text)| Ok((key.clone(), summary(key.destination_id.as_str(), key.reference.as_str(), Some(text))?)))
        .collect()
}

/// Returns keys as two columns.
pub(crate) fn key_columns<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<&'a str>, Vec<&'a str>) {
    keys.map(|key| (key.destination_id.as_str(), key.reference.as_str())).unzip()
}
