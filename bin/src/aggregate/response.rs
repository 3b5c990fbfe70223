//! The groups and records of `GET /v1/aggregates`, as a client reads them.

use serde::Deserialize;

/// A group without its records.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    pub(super) destination_id: String,
    #[serde(flatten)]
    pub(super) summary: Summary,
}

/// The count, the first and last time, and the totals by unit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) first_time: Option<String>,
    pub(super) last_time: Option<String>,
    pub(super) totals: Vec<UnitTotal>,
}

/// The totals of one unit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct UnitTotal {
    pub(super) unit: String,
    pub(super) count: u64,
    pub(super) positive: Side,
    pub(super) negative: Side,
    pub(super) net: String,
}

/// The records of one type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Side {
    pub(super) count: u64,
    pub(super) sum: String,
}

/// A record of a group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) record_id: String,
    pub(super) time: String,
    pub(super) source_id: String,
    pub(super) destination_id: String,
    #[serde(rename = "type")]
    pub(super) record_type: String,
    pub(super) value: String,
    pub(super) unit: String,
    pub(super) reference: String,
    pub(super) sequence: u64,
    pub(super) processed_at: String,
}

impl Record {
    /// Returns the fields in the order of [`tallyhouse_pipeline::RECORD_COLUMNS`].
    pub(super) fn into_fields(self) -> [String; 10] {
        [
            self.record_id,
            self.time,
            self.source_id,
            self.destination_id,
            self.record_type,
            self.value,
            self.unit,
            self.reference,
            self.sequence.to_string(),
            self.processed_at,
        ]
    }
}
