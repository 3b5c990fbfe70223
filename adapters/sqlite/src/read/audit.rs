//! The full read for an audit: all tables in one snapshot, key by key.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use tallyhouse_core::ports::AuditPart;
use tallyhouse_core::{DestinationId, Period, RecordType, RollUp, Side, Sum, Timestamp, Unit};

use crate::connection::blocking_stream::{Parts, Stop};
use crate::sql::error::Unreadable;
use crate::sql::rows::{ProcessedRow, StoredRow, read_key, read_summary};
use crate::sql::schema::{outbox, roll_up_position};
use crate::sql::statement::Statement;
use crate::write::outbox::{EntryRow, read_entry};

/// Summaries and records merged by key, each summary before its records, then the roll-ups of the destination, in the
/// columns of records. SQLite sorts them in a temporary file if they do not fit into memory.
const EVERYTHING: &str = "SELECT 0 AS part, 0 AS kind, summary, 0 AS days, 0 AS starts, 0 AS position, '' AS record_id, \
     0 AS time, '' AS source_id, destination_id, '' AS type, '' AS value, '' AS unit, reference, 0 AS sequence, \
     0 AS processed_at, NULL AS previous, NULL AS alerts, NULL AS traceparent FROM summaries \
     UNION ALL \
     SELECT 0, 1, '', 0, 0, position, record_id, time, source_id, destination_id, type, value, unit, reference, sequence, \
     processed_at, previous, alerts, traceparent FROM records \
     UNION ALL \
     SELECT 1, 2, sum, days, starts, count, '', first, '', destination_id, type, '', unit, '', 0, last, \
     NULL, NULL, NULL FROM roll_ups \
     ORDER BY destination_id, part, reference, kind, sequence, days, starts, position";

/// The kinds of rows.
const SUMMARY: i64 = 0;
const ROLL_UP: i64 = 2;

type StoredSql = (
    (BigInt, Text, BigInt, Text, Text, Text, Text, Text, Text, BigInt, BigInt),
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);
type EverythingSql = (BigInt, BigInt, Text, BigInt, BigInt, StoredSql);
type EverythingRow = (i64, i64, String, i64, i64, StoredRow);

/// Reads everything, in one read transaction.
pub(crate) fn audit(db: &mut SqliteConnection, parts: &Parts<AuditPart>) -> Result<(), Stop> {
    db.transaction(|db| {
        let rolled_up_to: i64 = roll_up_position::table.select(roll_up_position::position).first(db)?;
        if let Some(rolled_up_to) = u64::try_from(rolled_up_to).ok().filter(|position| *position > 0) {
            parts.send(AuditPart::RolledUpTo(rolled_up_to))?;
        }
        send_keys(db, parts)?;
        send_outbox(db, parts)
    })
}

fn send_keys(db: &mut SqliteConnection, parts: &Parts<AuditPart>) -> Result<(), Stop> {
    let everything = Statement::<EverythingSql, 0>::new(EVERYTHING, []);
    let mut open: Option<(String, String)> = None;
    for row in everything.load_iter::<EverythingRow, DefaultLoadingMode>(db)? {
        let (_, kind, summary, days, starts, row) = row?;
        if kind == ROLL_UP {
            let unreadable =
                || AuditPart::Unreadable(format!("table roll_ups, destination {:?}", row.processed.destination_id));
            let roll_up = read_roll_up(days, starts, &summary, &row.processed);
            parts.send(roll_up.map_or_else(unreadable, |roll_up| AuditPart::RollUp(Box::new(roll_up))))?;
            continue;
        }
        let (destination_id, reference) = (row.processed.destination_id.clone(), row.processed.reference.clone());
        let is_summary = kind == SUMMARY;
        let key = match read_key(&destination_id, &reference) {
            Ok(key) => key,
            // Without a readable key the row belongs to none. A record is named by its position.
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

/// Decodes a roll-up from the columns of a record.
fn read_roll_up(days: i64, starts: i64, sum: &str, row: &ProcessedRow) -> Option<RollUp> {
    let period = Period::of_days(i16::try_from(days).ok()?)?;
    Some(RollUp {
        destination_id: DestinationId::new(&row.destination_id).ok()?,
        period,
        begin: starts,
        unit: Unit::new(&row.unit).ok()?,
        record_type: RecordType::named(&row.record_type)?,
        side: Side { count: u64::try_from(row.position).ok()?, sum: Sum::parse(sum)? },
        first: Timestamp::from_micros(row.time)?,
        last: Timestamp::from_micros(row.processed_at)?,
    })
}

fn send_outbox(db: &mut SqliteConnection, parts: &Parts<AuditPart>) -> Result<(), Stop> {
    let rows =
        outbox::table.select((outbox::first, outbox::last, outbox::nonce, outbox::processed_at)).order(outbox::first);
    for row in rows.load_iter::<EntryRow, DefaultLoadingMode>(db)? {
        parts.send(read_entry(row?).map_or_else(unreadable, |entry| AuditPart::Outbox(entry.first, entry.last)))?;
    }
    Ok(())
}

fn unreadable(what: Unreadable) -> AuditPart {
    AuditPart::Unreadable(what.to_string())
}

#[cfg(test)]
mod tests;
