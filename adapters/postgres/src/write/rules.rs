//! The managed alert rules.

use std::sync::Arc;

use diesel::data_types::PgTimestamp;
use diesel::pg::PgConnection;
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use tallyhouse_core::{ManagedRule, ManagedRules, Rule, RuleEdit, RuleEditOutcome, amend};

use crate::sql::error::StoreError;
use crate::sql::row::{bigint, count, pg_timestamp, timestamp};
use crate::sql::statement::Statement;

type ManagedSql = (BigInt, Nullable<(Text, Text, BigInt, Timestamptz)>);
type ManagedRow = (i64, Option<(String, String, i64, PgTimestamp)>);

/// Returns the rules with their version: one statement and therefore one snapshot.
pub(crate) fn managed(connection: &mut PgConnection) -> Result<ManagedRules, StoreError> {
    let rows: Vec<ManagedRow> = Statement::<ManagedSql>::new(
        "SELECT v.version, r.name, r.rule, r.version, r.changed_at \
         FROM alert_rules_version v LEFT JOIN alert_rules r ON true WHERE v.only_row ORDER BY r.name",
    )
    .load(connection)?;
    let (version, _) = rows.first().ok_or_else(|| StoreError::Corrupt("alert_rules_version has no row".to_owned()))?;
    let mut managed = ManagedRules { version: count(*version)?, rules: Vec::new() };
    for (name, rule, version, changed_at) in rows.into_iter().filter_map(|(_, rule)| rule) {
        let unreadable = || StoreError::Corrupt(format!("the alert rule {name:?} can't be read"));
        let rule = Rule::from_stored(&rule).filter(|rule| rule.name() == name).ok_or_else(unreadable)?;
        let changed_at = timestamp(changed_at).ok_or_else(unreadable)?;
        managed.rules.push(ManagedRule { rule: Arc::new(rule), version: count(version)?, changed_at });
    }
    Ok(managed)
}

/// Changes one rule.
pub(crate) fn change(connection: &mut PgConnection, edit: &RuleEdit) -> Result<RuleEditOutcome, StoreError> {
    let mut written = false;
    let result = connection.build_transaction().read_committed().run(|connection| {
        // The next statement sees every change that was committed before this lock was granted.
        let lock = Statement::<BigInt>::new("SELECT version FROM alert_rules_version WHERE only_row FOR UPDATE");
        let _version: i64 = lock.get_result(connection)?;
        let edited = amend(&managed(connection)?, edit);
        write(connection, edit, &edited)?;
        written = true;
        Ok(edited)
    });
    match result {
        // The connection was cut during COMMIT. A repetition might see its own change.
        Err(error) if written && StoreError::is_disconnected(&error) => Err(StoreError::CommitUnknown(Box::new(error))),
        result => result,
    }
}

fn write(connection: &mut PgConnection, edit: &RuleEdit, edited: &RuleEditOutcome) -> Result<(), StoreError> {
    match edited {
        RuleEditOutcome::Created(managed) | RuleEditOutcome::Replaced(managed) => upsert(connection, managed)?,
        RuleEditOutcome::Deleted(_) => {
            Statement::<()>::new("DELETE FROM alert_rules WHERE name = ")
                .bind::<Text, _>(edit.name.as_str())
                .execute(connection)?;
        }
        RuleEditOutcome::Unchanged(_)
        | RuleEditOutcome::Missing
        | RuleEditOutcome::PreconditionFailed
        | RuleEditOutcome::Full => {}
    }
    if let Some(version) = edited.version() {
        Statement::<()>::new("UPDATE alert_rules_version SET version = ")
            .bind::<BigInt, _>(bigint(version))
            .execute(connection)?;
    }
    Ok(())
}

fn upsert(connection: &mut PgConnection, managed: &ManagedRule) -> Result<(), StoreError> {
    Statement::<()>::new("INSERT INTO alert_rules (name, rule, version, changed_at) VALUES (")
        .bind::<Text, _>(managed.rule.name())
        .sql(", ")
        .bind::<Text, _>(managed.rule.to_stored())
        .sql(", ")
        .bind::<BigInt, _>(bigint(managed.version))
        .sql(", ")
        .bind::<Timestamptz, _>(pg_timestamp(managed.changed_at))
        .sql(
            ") ON CONFLICT (name) DO UPDATE SET rule = excluded.rule, version = excluded.version, \
             changed_at = excluded.changed_at",
        )
        .execute(connection)?;
    Ok(())
}
