//! Rows, and their conversion to and from the types of the core.

use diesel::Queryable;
use diesel::data_types::{PgDate, PgTimestamp};
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};
use tallyhouse_core::{
    DestinationId, Key, ProcessedRecord, Record, RecordId, RecordType, Reference, SourceId, StoredRecord, Summary,
    Timestamp, Unit, Value, rules_from_json,
};

use crate::sql::error::StoreError;

/// 2000-01-01T00:00:00Z in microseconds since 1970: the epoch of Postgres.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The columns of [`ProcessedRow`], of the table `records` as `r`.
pub(crate) const PROCESSED_COLUMNS: &str = "r.record_id, r.time, r.source_id, r.destination_id, r.positive, \
     r.value::text, r.unit, r.reference, r.sequence, r.processed_at";

/// The further columns of a [`StoredRow`].
pub(crate) const STORED_COLUMNS: &str = ", r.previous, r.alerts, r.traceparent";

/// The SQL type of [`ProcessedRow`].
pub(crate) type ProcessedSql = (Text, Timestamptz, Text, Text, Bool, Text, Text, Text, BigInt, Timestamptz);

/// The SQL type of [`StoredRow`].
pub(crate) type StoredSql = (
    (Text, Timestamptz, Text, Text, Bool, Text, Text, Text, BigInt, Timestamptz),
    (Nullable<Text>, Nullable<Text>, Nullable<Text>),
);

/// A record as it was processed.
#[derive(Queryable)]
pub(crate) struct ProcessedRow {
    pub(crate) record_id: String,
    time: PgTimestamp,
    source_id: String,
    pub(crate) destination_id: String,
    positive: bool,
    value: String,
    unit: String,
    pub(crate) reference: String,
    sequence: i64,
    processed_at: PgTimestamp,
}

/// A record with everything that its messages hold.
#[derive(Queryable)]
pub(crate) struct StoredRow {
    pub(crate) processed: ProcessedRow,
    rest: (Option<String>, Option<String>, Option<String>),
}

impl ProcessedRow {
    /// Decodes the record.
    ///
    /// # Errors
    /// The row breaks a rule of the core.
    pub(crate) fn decode(&self) -> Result<ProcessedRecord, StoreError> {
        self.try_decode().ok_or_else(|| StoreError::Corrupt(format!("the record {:?} breaks a rule", self.record_id)))
    }

    fn try_decode(&self) -> Option<ProcessedRecord> {
        let record = Record {
            record_id: RecordId::new(&self.record_id).ok()?,
            time: timestamp(self.time)?,
            source_id: SourceId::new(&self.source_id).ok()?,
            destination_id: DestinationId::new(&self.destination_id).ok()?,
            record_type: if self.positive { RecordType::Positive } else { RecordType::Negative },
            value: Value::parse(&self.value).ok()?,
            unit: Unit::new(&self.unit).ok()?,
            reference: Reference::new(&self.reference).ok()?,
        };
        let sequence = u64::try_from(self.sequence).ok().filter(|sequence| *sequence > 0)?;
        Some(ProcessedRecord { record, sequence, processed_at: timestamp(self.processed_at)? })
    }
}

impl StoredRow {
    /// Returns the columns of its key.
    pub(crate) fn key(&self) -> (&str, &str) {
        (&self.processed.destination_id, &self.processed.reference)
    }

    /// Decodes the record.
    ///
    /// # Errors
    /// The row breaks a rule of the core.
    pub(crate) fn decode(self) -> Result<StoredRecord, StoreError> {
        let processed = self.processed.decode()?;
        let corrupt = |column| {
            StoreError::Corrupt(format!(
                "{column} of the record {:?} can't be read",
                processed.record.record_id.as_str()
            ))
        };
        let (previous, alerts, traceparent) = self.rest;
        let previous = match previous {
            None => Summary::default(),
            Some(text) => Summary::from_compact(&text).ok_or_else(|| corrupt("\"previous\""))?,
        };
        let alerts = match alerts {
            None => Vec::new(),
            Some(text) => rules_from_json(&text).ok_or_else(|| corrupt("\"alerts\""))?,
        };
        Ok(StoredRecord { processed, previous, alerts, traceparent })
    }
}

/// Decodes a key.
///
/// # Errors
/// A column breaks a rule of the core.
pub(crate) fn key(destination_id: &str, reference: &str) -> Result<Key, StoreError> {
    let made = DestinationId::new(destination_id)
        .and_then(|destination_id| Ok(Key { destination_id, reference: Reference::new(reference)? }));
    made.map_err(|error| StoreError::Corrupt(format!("the key ({destination_id:?}, {reference:?}) {error}")))
}

/// Decodes a summary in compact form.
///
/// # Errors
/// The text is no summary in compact form.
pub(crate) fn summary(destination_id: &str, reference: &str, text: Option<&str>) -> Result<Summary, StoreError> {
    text.and_then(Summary::from_compact)
        .ok_or_else(|| StoreError::Corrupt(format!("the summary of ({destination_id:?}, {reference:?}) can't be read")))
}

/// Encodes an instant.
pub(crate) fn pg_timestamp(at: Timestamp) -> PgTimestamp {
    PgTimestamp(at.as_micros() - POSTGRES_EPOCH_MICROS)
}

/// Encodes a day, given by its beginning in microseconds since 1970-01-01T00:00:00Z.
pub(crate) fn pg_date(micros: i64) -> PgDate {
    let days = (micros - POSTGRES_EPOCH_MICROS).div_euclid(MICROS_PER_DAY);
    // The years 0001 to 10000 have fewer than 4 million days.
    PgDate(i32::try_from(days).unwrap_or(i32::MAX))
}

/// Decodes an instant; `None` outside the years 0001 to 9999.
pub(crate) fn timestamp(at: PgTimestamp) -> Option<Timestamp> {
    Timestamp::from_micros(at.0.checked_add(POSTGRES_EPOCH_MICROS)?)
}

/// Encodes a count or a position.
pub(crate) fn bigint(n: u64) -> i64 {
    // No table holds 2^63 rows, so larger numbers mean the same as the largest.
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Decodes a count or a position.
///
/// # Errors
/// The number is negative.
pub(crate) fn count(n: i64) -> Result<u64, StoreError> {
    u64::try_from(n).map_err(|_| StoreError::Corrupt(format!("a count or a position is {n}")))
}

/// Encodes a number of rows for LIMIT.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
