//! The record: the input of every ingress. A [`Record`] is valid by construction.

pub(crate) mod parsed;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod value;
pub(crate) mod traceparent;
pub(crate) mod rejection;
pub(crate) mod draft;
pub(crate) mod json;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::parsed::parsed;
use crate::record::text::{DestinationId, Key, RecordId, Reference, SourceId, Unit};
use crate::record::time::Timestamp;
use crate::record::value::Value;

/// One of the eight fields of a record, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// `recordId`
    RecordId,
    /// `time`
    Time,
    /// `sourceId`
    SourceId,
    /// `destinationId`
    DestinationId,
    /// `type`
    Type,
    /// `value`
    Value,
    /// `unit`
    Unit,
    /// `reference`
    Reference,
}

impl Field {
    /// Every field, in the order in which they are written.
    pub const ALL: [Self; 8] = [
        Self::RecordId,
        Self::Time,
        Self::SourceId,
        Self::DestinationId,
        Self::Type,
        Self::Value,
        Self::Unit,
        Self::Reference,
    ];

    /// Returns the field's name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.pointer()[1..]
    }

    /// Returns the JSON pointer (RFC 6901) of the field in a record.
    #[must_use]
    pub fn pointer(self) -> &'static str {
        match self {
            Self::RecordId => "/recordId",
            Self::Time => "/time",
            Self::SourceId => "/sourceId",
            Self::DestinationId => "/destinationId",
            Self::Type => "/type",
            Self::Value => "/value",
            Self::Unit => "/unit",
            Self::Reference => "/reference",
        }
    }

    /// Returns the field of this name, if it is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |name| Self::named(name).ok_or("must be the name of a record's field"))
    }
}

/// The sign of a value in a net total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// Adds to the net total.
    Positive,
    /// Takes from the net total.
    Negative,
}

impl RecordType {
    /// Returns the name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }

    /// Returns the type of this name, if it is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "positive" => Some(Self::Positive),
            "negative" => Some(Self::Negative),
            _ => None,
        }
    }
}

impl Serialize for RecordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for RecordType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |name| Self::named(name).ok_or("must be \"positive\" or \"negative\""))
    }
}

/// A record that keeps every rule. It is made from parts that are each valid, from JSON ([`Record::from_json`]) or from
/// eight texts ([`crate::Draft`]).
///
/// `Deserialize` reads and checks the output of `Serialize`. For outside input, [`Record::from_json`] is better: it
/// also takes a value as a JSON number, and names every broken field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The identity, for ever.
    pub record_id: RecordId,
    /// When it happened, according to the sender.
    pub time: Timestamp,
    /// The source that it comes from.
    pub source_id: SourceId,
    /// The destination that it counts for.
    pub destination_id: DestinationId,
    /// The sign of the value in a net total.
    #[serde(rename = "type")]
    pub record_type: RecordType,
    /// The amount.
    pub value: Value,
    /// The unit of the amount.
    pub unit: Unit,
    /// A free reference; may be empty.
    pub reference: Reference,
}

impl Record {
    /// Returns the key whose running summary this record belongs to.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { destination_id: self.destination_id.clone(), reference: self.reference.clone() }
    }

    /// Returns the fields in which the two records differ: decimals compared as numbers, times as instants.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Vec<Field> {
        Field::ALL
            .into_iter()
            .filter(|field| match field {
                Field::RecordId => self.record_id != other.record_id,
                Field::Time => self.time != other.time,
                Field::SourceId => self.source_id != other.source_id,
                Field::DestinationId => self.destination_id != other.destination_id,
                Field::Type => self.record_type != other.record_type,
                Field::Value => self.value != other.value,
                Field::Unit => self.unit != other.unit,
                Field::Reference => self.reference != other.reference,
            })
            .collect()
    }

    /// Returns the record's approximate size in memory, in bytes, for bounds on queues.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = [
            self.record_id.as_str(),
            self.source_id.as_str(),
            self.destination_id.as_str(),
            self.unit.as_str(),
            self.reference.as_str(),
        ];
        // Each text has a shared allocation with two counters of its own.
        size_of::<Self>() + texts.iter().map(|text| text.len() + 2 * size_of::<usize>()).sum::<usize>()
    }

    /// Writes the eight fields as members of a JSON object.
    pub(crate) fn write_fields<S: SerializeStruct>(&self, object: &mut S) -> Result<(), S::Error> {
        object.serialize_field("recordId", &self.record_id)?;
        object.serialize_field("time", &self.time)?;
        object.serialize_field("sourceId", &self.source_id)?;
        object.serialize_field("destinationId", &self.destination_id)?;
        object.serialize_field("type", &self.record_type)?;
        object.serialize_field("value", &self.value)?;
        object.serialize_field("unit", &self.unit)?;
        object.serialize_field("reference", &self.reference)
    }
}

impl Serialize for Record {
    /// Writes the eight fields of the record in JSON.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Record", Field::ALL.len())?;
        self.write_fields(&mut object)?;
        object.end()
    }
}

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod tests;
