//! Rows, and their conversion to the types of the core.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use tallyhouse_core::{
    DestinationId, Key, ProcessedRecord, Record, RecordId, RecordType, Reference, SourceId, StoredRecord, Summary,
    Timestamp, Unit, Value, rules_from_json,
};

use crate::sql::error::Unreadable;
use crate::sql::schema::records;

/// A record as it was processed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = records, check_for_backend(Sqlite))]
pub(crate) struct ProcessedRow {
    pub(crate) position: i64,
    pub(crate) record_id: String,
    pub(crate) time: i64,
    pub(crate) source_id: String,
    pub(crate) destination_id: String,
    pub(crate) record_type: String,
    pub(crate) value: String,
    pub(crate) unit: String,
    pub(crate) reference: String,
    pub(crate) sequence: i64,
    pub(crate) processed_at: i64,
}

/// A record with everything that its messages hold.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = records, check_for_backend(Sqlite))]
pub(crate) struct StoredRow {
    #[diesel(embed)]
    pub(crate) processed: ProcessedRow,
    pub(crate) previous: Option<String>,
    pub(crate) alerts: Option<String>,
    pub(crate) traceparent: Option<String>,
}

impl ProcessedRow {
    pub(crate) fn read(&self) -> Result<ProcessedRecord, Unreadable> {
        let at = At(self.position);
        let record = Record {
            record_id: at.text("record_id", &self.record_id, RecordId::new)?,
            time: at.time("time", self.time)?,
            source_id: at.text("source_id", &self.source_id, SourceId::new)?,
            destination_id: at.text("destination_id", &self.destination_id, DestinationId::new)?,
            record_type: at.record_type(&self.record_type)?,
            value: at.text("value", &self.value, Value::parse)?,
            unit: at.text("unit", &self.unit, Unit::new)?,
            reference: at.text("reference", &self.reference, Reference::new)?,
        };
        let sequence = u64::try_from(self.sequence).ok().filter(|sequence| *sequence > 0);
        let sequence = sequence.ok_or_else(|| at.unreadable("sequence", self.sequence, "must be 1 or more"))?;
        Ok(ProcessedRecord { record, sequence, processed_at: at.time("processed_at", self.processed_at)? })
    }
}

impl StoredRow {
    /// Returns the record with its position.
    pub(crate) fn read(self) -> Result<(u64, StoredRecord), Unreadable> {
        let at = At(self.processed.position);
        let position = u64::try_from(at.0).map_err(|_| at.unreadable("position", at.0, "must be 1 or more"))?;
        let previous = self.previous.map_or(Some(Summary::default()), |text| Summary::from_compact(&text));
        let previous = previous.ok_or_else(|| at.unreadable("previous", "…", "must be a summary in compact form"))?;
        let alerts = self.alerts.map_or(Some(Vec::new()), |json| rules_from_json(&json));
        let alerts = alerts.ok_or_else(|| at.unreadable("alerts", "…", "must be a JSON array of rules"))?;
        let stored =
            StoredRecord { processed: self.processed.read()?, previous, alerts, traceparent: self.traceparent };
        Ok((position, stored))
    }
}

/// Decodes a key.
pub(crate) fn read_key(destination_id: &str, reference: &str) -> Result<Key, Unreadable> {
    let wrong = |what: String| Unreadable { row: summary_row(destination_id, reference), what };
    Ok(Key {
        destination_id: DestinationId::new(destination_id).map_err(|e| wrong(format!("destination_id {e}")))?,
        reference: Reference::new(reference).map_err(|e| wrong(format!("reference {e}")))?,
    })
}

/// Decodes the running summary of a key, which has at least one record.
pub(crate) fn read_summary(destination_id: &str, reference: &str, summary: &str) -> Result<Summary, Unreadable> {
    Summary::from_compact(summary).filter(|summary| summary.count() > 0).ok_or_else(|| Unreadable {
        row: summary_row(destination_id, reference),
        what: format!("summary {summary:?} must be a summary in compact form, of at least one record"),
    })
}

fn summary_row(destination_id: &str, reference: &str) -> String {
    format!("table summaries, destination {destination_id:?}, reference {reference:?}")
}

/// The position of a record, for error messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) i64);

impl At {
    pub(crate) fn text<T, E: std::fmt::Display>(
        self,
        column: &str,
        text: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Unreadable> {
        read(text).map_err(|error| self.unreadable(column, text, error))
    }

    pub(crate) fn time(self, column: &str, micros: i64) -> Result<Timestamp, Unreadable> {
        let range = "must be microseconds since 1970 in the years 0001 to 9999";
        Timestamp::from_micros(micros).ok_or_else(|| self.unreadable(column, micros, range))
    }

    pub(crate) fn record_type(self, name: &str) -> Result<RecordType, Unreadable> {
        RecordType::named(name).ok_or_else(|| self.unreadable("type", name, "must be positive or negative"))
    }

    pub(crate) fn unreadable(
        self,
        column: &str,
        found: impl std::fmt::Debug,
        rule: impl std::fmt::Display,
    ) -> Unreadable {
        let row = format!("table records, position {}", self.0);
        Unreadable { row, what: format!("{column} {found:?} {rule}") }
    }
}

/// Encodes a number of rows for LIMIT.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
