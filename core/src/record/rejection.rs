//! A rejection: every reason why an input is not a record, each with its place.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::record::Field;
use crate::record::text::RecordId;

/// The kind of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejectionCode {
    /// Not well-formed JSON in UTF-8: lone surrogates and nesting over 128 included.
    NotJson,
    /// Longer than the ingress takes.
    TooLarge,
    /// Well-formed, but breaks a rule or a limit.
    Rejected,
}

impl RejectionCode {
    /// Returns the code that clients see: the last part of a problem's `type`, the `reason` of a dead letter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not-json",
            Self::TooLarge => "too-large",
            Self::Rejected => "rejected",
        }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) of the place; empty for the whole.
    pub pointer: String,
    /// The broken rule, in words for the sender.
    pub detail: String,
}

/// A rejection: nothing was stored, and the same input will be rejected again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The record's id, if the id is valid.
    pub record_id: Option<RecordId>,
    /// The kind of the rejection.
    pub code: RejectionCode,
    /// Every broken rule; never empty.
    pub errors: Vec<FieldError>,
}

impl Rejection {
    /// Rejects for one reason at one place.
    #[must_use]
    pub fn at(record_id: Option<RecordId>, pointer: &str, detail: impl Into<String>) -> Self {
        let errors = vec![FieldError { pointer: pointer.to_owned(), detail: detail.into() }];
        Self { record_id, code: RejectionCode::Rejected, errors }
    }

    /// Rejects input that is not well-formed JSON.
    #[must_use]
    pub fn not_json(detail: impl Into<String>) -> Self {
        Self { code: RejectionCode::NotJson, ..Self::at(None, "", detail) }
    }

    /// Rejects input that is longer than `bytes_max`.
    #[must_use]
    pub fn too_large(bytes_max: usize) -> Self {
        Self {
            code: RejectionCode::TooLarge,
            ..Self::at(None, "", format!("the record must be at most {bytes_max} bytes long"))
        }
    }

    /// Returns about how many bytes the rejection takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let error = |error: &FieldError| size_of::<FieldError>() + error.pointer.len() + error.detail.len();
        let id = self.record_id.as_ref().map_or(0, |id| id.as_str().len());
        size_of::<Self>() + id + self.errors.iter().map(error).sum::<usize>()
    }

    /// Returns the reasons in one line.
    #[must_use]
    pub fn detail(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Rejection {
    /// Writes the reasons in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, FieldError { pointer, detail }) in self.errors.iter().enumerate() {
            let (between, space) = (if i == 0 { "" } else { "; " }, if pointer.is_empty() { "" } else { " " });
            write!(f, "{between}{pointer}{space}{detail}")?;
        }
        Ok(())
    }
}

impl Error for Rejection {}

/// Gathers every broken field of one record.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub(crate) Vec<FieldError>);

impl Faults {
    pub(crate) fn add(&mut self, field: Field, detail: impl ToString) {
        self.0.push(FieldError { pointer: field.pointer().to_owned(), detail: detail.to_string() });
    }

    /// Returns a valid value, or adds the reason why it is not.
    pub(crate) fn take<T, E: ToString>(&mut self, field: Field, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, error.to_string())).ok()
    }
}

#[cfg(test)]
mod tests;
