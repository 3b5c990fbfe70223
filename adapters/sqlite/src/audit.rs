//! Everything, read in order for an audit.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use tallyhouse_core::AuditPart;

use crate::error::Unreadable;
use crate::owed::read_owed;
use crate::parts::{Parts, Stop};
use crate::rows::{StoredRow, read_key, read_summary};
use crate::schema::owed;
use crate::statement::Statement;

/// Running summaries and records merged by key, each summary in front of its records. What does not fit into memory is
/// sorted in a temporary file.
const EVERYTHING: &str = "SELECT 0 AS kind, summary, 0 AS position, '' AS record_id, 0 AS time, '' AS source_id, \
     destination_id, '' AS type, '' AS value, '' AS unit, reference, 0 AS sequence, 0 AS processed_at, \
     NULL AS previous, NULL AS alerts, NULL AS traceparent FROM summaries \
     UNION ALL \
     SELECT 1, '', position, record_id, time, source_id, destination_id, type, value, unit, reference, sequence, \
     processed_at, previous, alerts, traceparent FROM records \
     ORDER BY destination_id, reference, kind, sequence, position";

type StoredSql = (
    (BigInt, Text, BigInt, Text, Text, Text, Text, Text, Text, BigInt, BigInt),
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);
type EverythingSql = (BigInt, Text, StoredSql);

/// Reads everything, in one read transaction.
pub(crate) fn audit(db: &mut SqliteConnection, parts: &Parts<AuditPart>) -> Result<(), Stop> {
    db.transaction(|db| {
        keys(db, parts)?;
        debts(db, parts)
    })
}

fn keys(db: &mut SqliteConnection, parts: &Parts<AuditPart>) -> Result<(), Stop> {
    let everything = Statement::<EverythingSql, 0>::new(EVERYTHING, []);
    let mut open: Option<(String, String)> = None;
    for row in everything.load_iter::<(i64, String, StoredRow), DefaultLoadingMode>(db)? {
        let (kind, summary, row) = row?;
        let (destination_id, reference) = (row.processed.destination_id.clone(), row.processed.reference.clone());
        let is_summary = kind == 0;
        let key = match read_key(&destination_id, &reference) {
            Ok(key) => key,
            // What has no key that is one belongs to none, and can only be named: a record by its position.
            Err(key) => {
                let of_record = if is_summary { None } else { row.read().err() };
                parts.send(unreadable(of_record.unwrap_or(key)))?;
                continue;
            }
        };
        let begins = open.as_ref().is_none_or(|(d, r)| (d, r) != (&destination_id, &reference));
        if is_summary {
            match read_summary(&destination_id, &reference, &summary) {
                Ok(summary) => parts.send(AuditPart::Key(key, Some(summary)))?,
                Err(why) => {
                    parts.send(AuditPart::Key(key, None))?;
                    parts.send(unreadable(why))?;
                }
            }
        } else {
            if begins {
                parts.send(AuditPart::Key(key, None))?;
            }
            parts.send(row.read().map_or_else(unreadable, |(at, stored)| AuditPart::Record(at, Box::new(stored))))?;
        }
        open = Some((destination_id, reference));
    }
    Ok(())
}

fn debts(db: &mut SqliteConnection, parts: &Parts<AuditPart>) -> Result<(), Stop> {
    let rows = owed::table.select((owed::first, owed::last)).order(owed::first);
    for row in rows.load_iter::<(i64, i64), DefaultLoadingMode>(db)? {
        parts.send(read_owed(row?).map_or_else(unreadable, |owed| AuditPart::Owed(owed.first, owed.last)))?;
    }
    Ok(())
}

fn unreadable(what: Unreadable) -> AuditPart {
    AuditPart::Unreadable(what.to_string())
}

#[cfg(test)]
mod tests;
