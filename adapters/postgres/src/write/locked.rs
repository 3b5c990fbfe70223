//! Commits with locks: for batches that share keys with other processes, and where an optimistic commit has failed.
//!
//! `BEGIN`, `lock_and_read`, `write_plan`, `COMMIT`: four round trips.

use std::thread::sleep;
use std::time::Duration;

use diesel::pg::PgConnection;
use tallyhouse_core::ports::{Batch, Committed};
use tallyhouse_core::{Key, plan};

use crate::sql::error::StoreError;
use crate::write::commit_unknown::CommitUnknown;
use crate::write::known::{KeyLocks, Stored, read};
use crate::write::optimistic::Optimistic;
use crate::write::plan::{Expectations, Written, write_plan};
use crate::write::rules;

/// Attempts at one batch that clashes with other transactions.
const ATTEMPTS: u32 = 5;

/// Pause after the first clash. An immediate retry would meet the same transaction in the same place.
const PAUSE: Duration = Duration::from_millis(5);

/// Commits a batch under the locks of its sorted keys. Tries again after deadlocks, serialization failures and taken
/// ids.
///
/// # Errors
/// Nothing is committed, except for [`StoreError::CommitUnknown`].
pub(crate) fn commit(
    connection: &mut PgConnection,
    batch: &Batch,
    keys: &[Key],
    optimistic: &Optimistic,
    commit_unknown: &CommitUnknown,
) -> Result<Committed, StoreError> {
    let _pause = optimistic.pause();
    let mut attempt = 1;
    loop {
        match commit_once(connection, batch, keys, optimistic, commit_unknown) {
            Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                sleep(PAUSE * attempt);
                attempt += 1;
            }
            Err(error) => return Err(error),
            Ok(committed) => {
                optimistic.count_locked();
                return Ok(committed);
            }
        }
    }
}

fn commit_once(
    connection: &mut PgConnection,
    batch: &Batch,
    keys: &[Key],
    optimistic: &Optimistic,
    commit_unknown: &CommitUnknown,
) -> Result<Committed, StoreError> {
    let mut written = false;
    let result = connection.build_transaction().read_committed().run(|connection| {
        let Stored { known, summaries, rules_version } =
            read(connection, KeyLocks::Taken, keys, Some(&batch.arrivals))?;
        commit_unknown.check(&known)?;
        let rules = batch.rules.in_force(rules_version, || rules::managed(connection))?;
        optimistic.observe(keys, &known);
        let plan = plan(&batch.arrivals, known, &rules, batch.now);
        optimistic.cache(&plan);
        let expectations = Expectations {
            keys_to_remove: summaries.unchanged_empty_keys(&plan),
            summaries: summaries.of_changed(&plan),
            rules_version: None,
        };
        match write_plan(connection, batch, &plan, &expectations)? {
            Written::All(entry) => {
                written = true;
                Ok(Committed { outcomes: plan.outcomes, entry })
            }
            // Another transaction inserted the id under another key, which is not locked here, after the read.
            Written::IdTaken => Err(StoreError::IdConflict),
            Written::SummaryDiffers | Written::RulesDiffer | Written::PredecessorSlow => {
                Err(StoreError::Misuse("a locked row has changed".to_owned()))
            }
        }
    });
    result.map_err(|error| {
        optimistic.uncache(keys);
        // All is written: the connection was cut during COMMIT.
        if written && error.is_disconnected() { StoreError::CommitUnknown(Box::new(error)) } else { error }
    })
}
