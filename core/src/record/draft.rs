//! A draft: eight texts from a host program, a CSV line or a client, which make a record if they are valid.

use crate::record::rejection::{Faults, Rejection, RejectionCode};
use crate::record::text::{DestinationId, RecordId, Reference, SourceId, Unit};
use crate::record::time::Timestamp;
use crate::record::value::Value;
use crate::record::{Field, Record, RecordType};

/// The eight fields as texts, not yet checked.
///
/// ```
/// use tallyhouse_core::Draft;
///
/// let draft = Draft {
///     record_id: "r-1", time: "2026-01-01T00:00:00Z", source_id: "till-3", destination_id: "shop-9",
///     record_type: "positive", value: "12.50", unit: "EUR", reference: "",
/// };
/// let record = draft.check()?;
/// assert_eq!(record.value.to_string(), "12.50");
/// # Ok::<(), tallyhouse_core::Rejection>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// `recordId`: 1 to 255 characters.
    pub record_id: &'a str,
    /// `time`: RFC 3339 with an offset.
    pub time: &'a str,
    /// `sourceId`: 1 to 255 characters.
    pub source_id: &'a str,
    /// `destinationId`: 1 to 255 characters.
    pub destination_id: &'a str,
    /// `type`: `positive` or `negative`.
    pub record_type: &'a str,
    /// `value`: a decimal without a sign.
    pub value: &'a str,
    /// `unit`: 1 to 64 characters.
    pub unit: &'a str,
    /// `reference`: 0 to 255 characters.
    pub reference: &'a str,
}

impl Draft<'_> {
    /// Checks every field and makes the record.
    ///
    /// # Errors
    /// Names every broken field at once.
    pub fn check(&self) -> Result<Record, Rejection> {
        check_texts([
            Ok(self.record_id),
            Ok(self.time),
            Ok(self.source_id),
            Ok(self.destination_id),
            Ok(self.record_type),
            Ok(self.value),
            Ok(self.unit),
            Ok(self.reference),
        ])
    }
}

/// Checks eight texts in the order of [`Field::ALL`]; a field without a text says why it has none.
pub(crate) fn check_texts(texts: [Result<&str, &'static str>; 8]) -> Result<Record, Rejection> {
    let [record_id, time, source_id, destination_id, record_type, value, unit, reference] = texts;
    let mut faults = Faults::default();

    let record_id = read(&mut faults, Field::RecordId, record_id, RecordId::new);
    let time = read(&mut faults, Field::Time, time, Timestamp::parse);
    let source_id = read(&mut faults, Field::SourceId, source_id, SourceId::new);
    let destination_id = read(&mut faults, Field::DestinationId, destination_id, DestinationId::new);
    let record_type = read(&mut faults, Field::Type, record_type, |name| {
        RecordType::named(name).ok_or("must be \"positive\" or \"negative\"")
    });
    let value = read(&mut faults, Field::Value, value, Value::parse);
    let unit = read(&mut faults, Field::Unit, unit, Unit::new);
    let reference = read(&mut faults, Field::Reference, reference, Reference::new);

    match (record_id, time, source_id, destination_id, record_type, value, unit, reference) {
        (
            Some(record_id),
            Some(time),
            Some(source_id),
            Some(destination_id),
            Some(record_type),
            Some(value),
            Some(unit),
            Some(reference),
        ) => Ok(Record { record_id, time, source_id, destination_id, record_type, value, unit, reference }),
        (record_id, ..) => Err(Rejection { record_id, code: RejectionCode::Rejected, errors: faults.0 }),
    }
}

fn read<'a, T, E: ToString>(
    faults: &mut Faults,
    field: Field,
    text: Result<&'a str, &'static str>,
    parse: impl FnOnce(&'a str) -> Result<T, E>,
) -> Option<T> {
    let text = faults.take(field, text)?;
    faults.take(field, parse(text))
}

#[cfg(test)]
mod tests;
