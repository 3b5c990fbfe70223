//! Records and totals as rows of CSV (RFC 4180, with a line feed alone at the end of a row).
//!
//! Texts are written unchanged, so that a row can become the same record again. A spreadsheet may take a text that begins
//! with `=`, `+`, `-` or `@` for a formula: rows with untrusted texts must be imported there as text.

use crate::outcome::ProcessedRecord;
use crate::record::text::DestinationId;
use crate::summary::Summary;

/// The columns of a record: its eight fields as an import reads them, its sequence, and when it was processed.
pub const RECORD_COLUMNS: [&str; 10] =
    ["recordId", "time", "sourceId", "destinationId", "type", "value", "unit", "reference", "sequence", "processedAt"];

/// The columns of a total: one row for each destination and unit. The times are those of the whole destination.
pub const TOTAL_COLUMNS: [&str; 10] = [
    "destinationId",
    "unit",
    "count",
    "positiveCount",
    "positiveSum",
    "negativeCount",
    "negativeSum",
    "net",
    "firstTime",
    "lastTime",
];

/// Writes a row of any fields.
pub fn write_row<T: AsRef<str>>(rows: &mut Vec<u8>, fields: impl IntoIterator<Item = T>) {
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            rows.push(b',');
        }
        write_field(rows, field.as_ref());
    }
    rows.push(b'\n');
}

/// Writes the row of a record, by [`RECORD_COLUMNS`].
pub fn write_record_row(rows: &mut Vec<u8>, processed: &ProcessedRecord) {
    let record = &processed.record;
    write_row(
        rows,
        [
            record.record_id.as_str(),
            &record.time.to_string(),
            record.source_id.as_str(),
            record.destination_id.as_str(),
            record.record_type.name(),
            &record.value.to_string(),
            record.unit.as_str(),
            record.reference.as_str(),
            &processed.sequence.to_string(),
            &processed.processed_at.to_string(),
        ],
    );
}

/// Writes the rows of a destination's summary, by [`TOTAL_COLUMNS`]; an empty summary has no rows.
pub fn write_total_rows(rows: &mut Vec<u8>, destination_id: &DestinationId, summary: &Summary) {
    let Some((first, last)) = summary.times() else { return };
    let (first, last) = (first.to_string(), last.to_string());
    for total in summary.totals() {
        write_row(
            rows,
            [
                destination_id.as_str(),
                total.unit.as_str(),
                &total.count().to_string(),
                &total.positive.count.to_string(),
                &total.positive.sum.to_string(),
                &total.negative.count.to_string(),
                &total.negative.sum.to_string(),
                &total.net().to_string(),
                &first,
                &last,
            ],
        );
    }
}

fn write_field(rows: &mut Vec<u8>, field: &str) {
    if !field.contains([',', '"', '\r', '\n']) {
        rows.extend_from_slice(field.as_bytes());
        return;
    }
    rows.push(b'"');
    for (place, part) in field.split('"').enumerate() {
        if place > 0 {
            rows.extend_from_slice(b"\"\"");
        }
        rows.extend_from_slice(part.as_bytes());
    }
    rows.push(b'"');
}

#[cfg(test)]
mod tests;
