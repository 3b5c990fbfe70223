//! Alert rules: which records the alerting service is told about.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::{Record, RecordType};
use crate::text::{DestinationId, Reference, SourceId, Unit};
use crate::value::Value;

/// A rule as it is written down, not yet checked: texts, the optional ones being what must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleDraft {
    /// The name: `[a-z0-9][a-z0-9-]{0,62}`.
    pub name: String,
    /// The threshold, in the grammar of a record's value.
    pub threshold: String,
    /// Only records of this unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Only records of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub record_type: Option<String>,
    /// Only records of this destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_id: Option<String>,
    /// Only records of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Only records of this reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// An alert rule: met by a record whose `value` is strictly above `threshold` and that matches all that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    name: String,
    threshold: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    record_type: Option<RecordType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_id: Option<DestinationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_id: Option<SourceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Reference>,
}

/// Says what is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The name is not `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("the rule name {0:?} must be 1 to 63 of a-z, 0-9 and -, and must not begin with -")]
    Name(String),
    /// A field breaks the rule that the record's field of the same name has.
    #[error("the field {field} of the rule {name:?} {reason}")]
    Field {
        /// The rule.
        name: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Two rules have one name.
    #[error("the rule name {0:?} is used twice")]
    Twice(String),
}

impl Rule {
    /// Checks a draft and makes the rule.
    ///
    /// # Errors
    /// Says which field breaks which rule.
    pub fn new(draft: RuleDraft) -> Result<Self, RuleError> {
        let name = draft.name;
        let letters = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if name.is_empty() || name.len() > 63 || !letters || name.starts_with('-') {
            return Err(RuleError::Name(name));
        }
        let fault = |field: &'static str, reason: String| RuleError::Field { name: name.clone(), field, reason };
        let threshold = Value::parse(&draft.threshold).map_err(|e| fault("threshold", e.to_string()))?;
        let unit = optional(draft.unit, Unit::new).map_err(|e| fault("unit", e))?;
        let destination_id =
            optional(draft.destination_id, DestinationId::new).map_err(|e| fault("destinationId", e))?;
        let source_id = optional(draft.source_id, SourceId::new).map_err(|e| fault("sourceId", e))?;
        let reference = optional(draft.reference, Reference::new).map_err(|e| fault("reference", e))?;
        let record_type =
            optional(draft.record_type, |t| RecordType::named(t).ok_or("must be \"positive\" or \"negative\""))
                .map_err(|e| fault("type", e))?;
        Ok(Self { name, threshold, unit, record_type, destination_id, source_id, reference })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the threshold.
    #[must_use]
    pub fn threshold(&self) -> Value {
        self.threshold
    }

    /// Says whether a record meets the rule.
    #[must_use]
    pub fn is_met_by(&self, record: &Record) -> bool {
        record.value > self.threshold
            && self.unit.as_ref().is_none_or(|unit| *unit == record.unit)
            && self.record_type.is_none_or(|record_type| record_type == record.record_type)
            && self.destination_id.as_ref().is_none_or(|id| *id == record.destination_id)
            && self.source_id.as_ref().is_none_or(|id| *id == record.source_id)
            && self.reference.as_ref().is_none_or(|reference| *reference == record.reference)
    }
}

fn optional<T, E: ToString>(text: Option<String>, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>, String> {
    text.map(|text| parse(&text).map_err(|error| error.to_string())).transpose()
}

/// The rules in force, by unique names, in the order in which they were given.
#[derive(Debug, Clone, Default)]
pub struct RuleSet(Vec<Arc<Rule>>);

impl RuleSet {
    /// Takes rules whose names are unique.
    ///
    /// # Errors
    /// Names the first name that is used twice.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut set = Vec::<Arc<Rule>>::new();
        for rule in rules {
            if set.iter().any(|known| known.name == rule.name) {
                return Err(RuleError::Twice(rule.name));
            }
            set.push(Arc::new(rule));
        }
        Ok(Self(set))
    }

    /// Returns the rules that a record meets.
    #[must_use]
    pub fn met_by(&self, record: &Record) -> Vec<Arc<Rule>> {
        self.0.iter().filter(|rule| rule.is_met_by(record)).cloned().collect()
    }

    /// Returns the rules.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Writes the rules that a record met, as they were, in the form in which adapters keep them: a JSON array.
#[must_use]
pub fn rules_to_json(rules: &[Arc<Rule>]) -> String {
    let rules: Vec<&Rule> = rules.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&rules).expect("a rule is always JSON")
}

/// Reads what [`rules_to_json`] wrote; `None` if it is anything else.
#[must_use]
pub fn rules_from_json(json: &str) -> Option<Vec<Arc<Rule>>> {
    let drafts: Vec<RuleDraft> = serde_json::from_str(json).ok()?;
    drafts.into_iter().map(|draft| Rule::new(draft).ok().map(Arc::new)).collect()
}

#[cfg(test)]
mod tests;
