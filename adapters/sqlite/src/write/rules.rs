//! The managed alert rules.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use tallyhouse_core::{ManagedRule, ManagedRules, Rule, RuleEdit, RuleEditOutcome, Timestamp, amend};

use crate::sql::error::{StoreError, Unreadable};
use crate::sql::schema::{alert_rules, alert_rules_version};
use crate::sql::statement::Statement;
use crate::write::writer::transaction;

/// The version of the rules. Every commit reads it.
const VERSION: &str = "SELECT version FROM alert_rules_version";

/// Returns the version.
pub(crate) fn version(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let version: i64 = Statement::<BigInt, 0>::new(VERSION, []).get_result(db)?;
    Ok(read_version(version)?)
}

/// Returns the rules with their version. To be called in a transaction, since these are two reads.
pub(crate) fn managed(db: &mut SqliteConnection) -> Result<ManagedRules, StoreError> {
    let version = version(db)?;
    let rows: Vec<(String, String, i64, i64)> = alert_rules::table.order(alert_rules::name).load(db)?;
    let read = |(name, rule, version, changed_at): (String, String, i64, i64)| {
        let unreadable =
            |what: &str| Unreadable { row: format!("table alert_rules, name {name:?}"), what: what.to_owned() };
        let rule = Rule::from_stored(&rule).filter(|rule| rule.name() == name);
        Ok(ManagedRule {
            rule: Arc::new(rule.ok_or_else(|| unreadable("rule must be a JSON object with a rule of this name"))?),
            version: read_version(version)?,
            changed_at: Timestamp::from_micros(changed_at).ok_or_else(|| unreadable("changed_at is out of range"))?,
        })
    };
    Ok(ManagedRules { version, rules: rows.into_iter().map(read).collect::<Result<_, Unreadable>>()? })
}

/// Changes one rule. The write lock, taken first, keeps other changes and commits out.
pub(crate) fn change(db: &mut SqliteConnection, edit: &RuleEdit) -> Result<RuleEditOutcome, StoreError> {
    transaction(db, |db| {
        let edited = amend(&managed(db)?, edit);
        match &edited {
            RuleEditOutcome::Created(managed) | RuleEditOutcome::Replaced(managed) => upsert(db, managed)?,
            RuleEditOutcome::Deleted(_) => _ = diesel::delete(alert_rules::table.find(&edit.name)).execute(db)?,
            RuleEditOutcome::Unchanged(_)
            | RuleEditOutcome::Missing
            | RuleEditOutcome::PreconditionFailed
            | RuleEditOutcome::Full => {}
        }
        if let Some(version) = edited.version() {
            diesel::update(alert_rules_version::table)
                .set(alert_rules_version::version.eq(bigint(version)))
                .execute(db)?;
        }
        Ok(edited)
    })
}

fn upsert(db: &mut SqliteConnection, managed: &ManagedRule) -> Result<(), StoreError> {
    let row = (
        alert_rules::name.eq(managed.rule.name()),
        alert_rules::rule.eq(managed.rule.to_stored()),
        alert_rules::version.eq(bigint(managed.version)),
        alert_rules::changed_at.eq(managed.changed_at.as_micros()),
    );
    diesel::replace_into(alert_rules::table).values(row).execute(db)?;
    Ok(())
}

fn read_version(version: i64) -> Result<u64, Unreadable> {
    let row = "table alert_rules_version".to_owned();
    u64::try_from(version).map_err(|_| Unreadable { row, what: format!("version {version} must be 0 or more") })
}

/// Encodes a version: microseconds since 1970.
fn bigint(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
