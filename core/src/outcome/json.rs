//! Outcomes and stored records in JSON.

use std::sync::Arc;

use serde::de::Error;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::outcome::{Outcome, ProcessedRecord, StoredRecord};
use crate::record::Field;
use crate::record::rejection::{FieldError, Rejection, RejectionCode};
use crate::record::text::RecordId;
use crate::record::time::Timestamp;
use crate::rule::Rule;
use crate::summary::Summary;

impl Serialize for ProcessedRecord {
    /// Writes the eight fields of the record, `sequence` and `processedAt`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("ProcessedRecord", 10)?;
        self.write_fields(&mut object)?;
        object.end()
    }
}

impl ProcessedRecord {
    fn write_fields<S: SerializeStruct>(&self, object: &mut S) -> Result<(), S::Error> {
        self.record.write_fields(object)?;
        object.serialize_field("sequence", &self.sequence)?;
        object.serialize_field("processedAt", &self.processed_at)
    }
}

impl Serialize for StoredRecord {
    /// Writes the eight fields of the record, `sequence`, `processedAt`, `previous` and the names of its `alerts`. The
    /// whole rules are in [`StoredRecord::to_stored`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("StoredRecord", 12)?;
        self.processed.write_fields(&mut object)?;
        object.serialize_field("previous", &self.previous)?;
        object.serialize_field("alerts", &self.alert_names())?;
        object.end()
    }
}

/// A complete stored record: its public members, the whole rules beside their names, and the trace context.
#[derive(Serialize, Deserialize)]
struct Whole {
    #[serde(flatten)]
    processed: ProcessedRecord,
    previous: Summary,
    /// The names of `rules`.
    #[serde(skip_deserializing)]
    alerts: Vec<String>,
    rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

impl Whole {
    fn of(stored: &StoredRecord) -> Self {
        Self {
            processed: stored.processed.clone(),
            previous: stored.previous.clone(),
            alerts: stored.alert_names().into_iter().map(str::to_owned).collect(),
            rules: stored.alerts.iter().map(|rule| Rule::clone(rule)).collect(),
            traceparent: stored.traceparent.clone(),
        }
    }

    /// Returns the stored record; `None` unless its sequence is one more than the count of `previous`.
    fn check(self) -> Option<StoredRecord> {
        let Self { processed, previous, alerts: _, rules, traceparent } = self;
        let alerts = rules.into_iter().map(Arc::new).collect();
        let is_next = previous.count().checked_add(1) == Some(processed.sequence);
        is_next.then_some(StoredRecord { processed, previous, alerts, traceparent })
    }
}

impl StoredRecord {
    /// Writes all of the record in a form in which an adapter may store it: a JSON object. Beside the members of
    /// `Serialize` it has the whole `rules` and the `traceparent`, so that messages can be rebuilt from it.
    #[must_use]
    pub fn to_stored(&self) -> String {
        serde_json::to_string(&Whole::of(self)).expect("a stored record is always JSON")
    }

    /// Reads the output of [`StoredRecord::to_stored`]; `None` for any other text, or a contradictory one.
    #[must_use]
    pub fn from_stored(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok().and_then(Whole::check)
    }
}

/// The JSON form of an outcome.
#[derive(Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum OutcomeJson {
    Processed(Box<Whole>),
    Duplicate { record_id: RecordId, sequence: u64, processed_at: Timestamp },
    Conflict { record_id: RecordId, error: ConflictJson },
    Rejected { record_id: Option<RecordId>, error: RejectedJson },
}

#[derive(Serialize, Deserialize)]
struct ConflictJson {
    differs: Vec<Field>,
}

#[derive(Serialize, Deserialize)]
struct RejectedJson {
    code: RejectionCode,
    errors: Vec<FieldError>,
}

impl Serialize for Outcome {
    /// Writes the members of a write's result, and for a processed record all of
    /// [`to_stored`](StoredRecord::to_stored). `error` has `differs`, or `code` and `errors`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = match self.clone() {
            Self::Processed(stored) => OutcomeJson::Processed(Box::new(Whole::of(&stored))),
            Self::Duplicate { record_id, sequence, processed_at } => {
                OutcomeJson::Duplicate { record_id, sequence, processed_at }
            }
            Self::Conflict { record_id, differs } => {
                OutcomeJson::Conflict { record_id, error: ConflictJson { differs } }
            }
            Self::Rejected(Rejection { record_id, code, errors }) => {
                OutcomeJson::Rejected { record_id, error: RejectedJson { code, errors } }
            }
        };
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    /// Reads the output of `Serialize`; a contradictory outcome is an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match OutcomeJson::deserialize(deserializer)? {
            OutcomeJson::Processed(whole) => {
                let stored = whole.check().ok_or_else(|| D::Error::custom("the record contradicts itself"))?;
                Self::Processed(Arc::new(stored))
            }
            OutcomeJson::Duplicate { record_id, sequence, processed_at } => {
                Self::Duplicate { record_id, sequence, processed_at }
            }
            OutcomeJson::Conflict { record_id, error } => Self::Conflict { record_id, differs: error.differs },
            OutcomeJson::Rejected { record_id, error: RejectedJson { code, errors } } => {
                if errors.is_empty() {
                    return Err(D::Error::custom("a rejection has a reason"));
                }
                Self::Rejected(Rejection { record_id, code, errors })
            }
        })
    }
}
