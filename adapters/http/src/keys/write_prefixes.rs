//! The prefixes of `sourceId` and `destinationId` that restrict what a key may write.

use tallyhouse_pipeline::{DestinationId, Field, FieldError, Outcome, Record, Rejection, RejectionCode, SourceId};

/// The beginnings of `sourceId` and `destinationId` to which a key is bound. Texts are compared as they are, without
/// regard to separators: `till-3` is a prefix of `till-30`, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WritePrefixes {
    source: Option<SourceId>,
    destination: Option<DestinationId>,
}

/// A prefix with which no id can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} must have 1 to 255 characters, and no control characters")]
pub struct WritePrefixError(&'static str);

impl WritePrefixes {
    /// Takes the prefix of `sourceId` and that of `destinationId`. Without any, a key writes all records.
    ///
    /// # Errors
    /// A prefix is empty, too long, or has characters that no id may have: leave it out, or correct it.
    pub fn new(source: Option<&str>, destination: Option<&str>) -> Result<Self, WritePrefixError> {
        let source = source.map(SourceId::new).transpose().map_err(|_| WritePrefixError("source_prefix"))?;
        let destination =
            destination.map(DestinationId::new).transpose().map_err(|_| WritePrefixError("destination_prefix"))?;
        Ok(Self { source, destination })
    }

    /// Returns the prefixes with their names in the keys file.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let source = self.source.iter().map(|prefix| ("source_prefix", prefix.as_str()));
        source.chain(self.destination.iter().map(|prefix| ("destination_prefix", prefix.as_str())))
    }

    /// Passes a record on, or refuses one that the key may not write: a pointer names each id at fault.
    pub(crate) fn admit(&self, record: Record) -> Result<Record, Rejection> {
        let Record { source_id, destination_id, .. } = &record;
        let faults = [
            (Field::SourceId, source_id.as_str(), self.source.as_ref().map(SourceId::as_str)),
            (Field::DestinationId, destination_id.as_str(), self.destination.as_ref().map(DestinationId::as_str)),
        ];
        let errors: Vec<FieldError> = faults
            .into_iter()
            .filter_map(|(field, id, prefix)| {
                let prefix = prefix.filter(|prefix| !id.starts_with(prefix))?;
                let detail = format!("must begin with {prefix:?} for this key");
                Some(FieldError { pointer: field.pointer().to_owned(), detail })
            })
            .collect();
        if errors.is_empty() {
            return Ok(record);
        }
        Err(Rejection { record_id: Some(record.record_id), code: RejectionCode::Rejected, errors })
    }

    /// Withholds how a record differs from a stored one that may lie outside the prefixes: a conflict in a bound id names
    /// that id alone. Otherwise a sender could guess such a record field by field.
    pub(crate) fn redact(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Conflict { record_id, differs } => {
                let bound = differs.iter().copied().find(|field| self.is_bound(*field));
                Outcome::Conflict { record_id, differs: bound.map_or(differs, |field| vec![field]) }
            }
            Outcome::Processed(_) | Outcome::Duplicate { .. } | Outcome::Rejected(_) => outcome,
        }
    }

    fn is_bound(&self, field: Field) -> bool {
        match field {
            Field::SourceId => self.source.is_some(),
            Field::DestinationId => self.destination.is_some(),
            Field::RecordId | Field::Time | Field::Type | Field::Value | Field::Unit | Field::Reference => false,
        }
    }
}

#[cfg(test)]
mod tests;
