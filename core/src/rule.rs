//! Alert rules: which records become alerts.

pub(crate) mod json;
pub(crate) mod book;

use std::cell::LazyCell;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::record::rejection::FieldError;
use crate::record::text::{DestinationId, Reference, SourceId, Unit};
use crate::record::value::Value;
use crate::record::{Record, RecordType};
use crate::summary::Summary;
use crate::summary::sum::Net;

/// A rule that is not yet checked: texts, of which the optional ones are conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleDraft {
    /// The name: `[a-z0-9][a-z0-9-]{0,62}`.
    pub name: String,
    /// The threshold, in the grammar of a record's value.
    pub threshold: String,
    /// What is compared with the threshold: `value` (the default) or `total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
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

/// The quantity that a rule compares with its threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleOn {
    /// The record's `value`: met when it is strictly above the threshold.
    #[default]
    Value,
    /// The running net total of the record's key (destination and reference) in the record's unit: met by the record
    /// that brings it from at or below the threshold to strictly above it. Once it has fallen back, it can be met
    /// again.
    Total,
}

impl RuleOn {
    fn named(name: &str) -> Option<Self> {
        match name {
            "value" => Some(Self::Value),
            "total" => Some(Self::Total),
            _ => None,
        }
    }

    // Serde hands over a reference.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    fn is_value(&self) -> bool {
        *self == Self::Value
    }
}

/// An alert rule. A record meets it if it matches every condition, and if its `value`, or the total that it leads to, is
/// strictly above `threshold`.
///
/// ```
/// use tallyhouse_core::{Draft, Rule, RuleDraft, Summary};
///
/// let large = Rule::new(RuleDraft {
///     name: "large".to_owned(), threshold: "1000".to_owned(), unit: Some("EUR".to_owned()), ..RuleDraft::default()
/// })?;
/// let draft = Draft {
///     record_id: "r-1", time: "2026-01-01T09:30:00Z", source_id: "till-3", destination_id: "shop-9",
///     record_type: "positive", value: "1000.01", unit: "EUR", reference: "",
/// };
/// assert!(large.is_met_by(&draft.check()?, &Summary::default()));
/// assert!(!large.is_met_by(&Draft { value: "1000.00", ..draft }.check()?, &Summary::default()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The JSON of a rule has the member `on` only if the rule is on totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "RuleDraft")]
pub struct Rule {
    name: String,
    threshold: Value,
    #[serde(skip_serializing_if = "RuleOn::is_value")]
    on: RuleOn,
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

impl TryFrom<RuleDraft> for Rule {
    type Error = RuleError;

    fn try_from(draft: RuleDraft) -> Result<Self, RuleError> {
        Self::new(draft)
    }
}

/// Says what is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The name is not `[a-z0-9][a-z0-9-]{0,62}`.
    #[error("the rule name {0:?} {NAME_FORM}")]
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

const NAME_FORM: &str = "must be 1 to 63 of a-z, 0-9 and -, and must not begin with -";

/// A rule on totals can't select by type or source: running totals are kept per key and unit, and no query returns a
/// total of fewer records.
const NOT_ON_TOTALS: &str = "can't be asked for by a rule on totals, which are of all records of a key";

/// One broken field.
struct Fault {
    field: &'static str,
    reason: String,
}

impl Rule {
    /// Checks a draft and makes the rule.
    ///
    /// # Errors
    /// Says which field breaks which rule: the first.
    pub fn new(draft: RuleDraft) -> Result<Self, RuleError> {
        let name = draft.name.clone();
        Self::check(draft).map_err(|faults| match faults.into_iter().next() {
            Some(Fault { field, reason }) if field != "name" => RuleError::Field { name, field, reason },
            Some(_) | None => RuleError::Name(name),
        })
    }

    /// Checks every field of a draft.
    fn check(draft: RuleDraft) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if !is_name(&draft.name) {
            faults.push(Fault { field: "name", reason: NAME_FORM.to_owned() });
        }
        let threshold = keep(&mut faults, "threshold", Some(draft.threshold), Value::parse);
        let on = |text: &str| RuleOn::named(text).ok_or("must be \"value\" or \"total\"");
        let on = keep(&mut faults, "on", draft.on, on).unwrap_or_default();
        let unit = keep(&mut faults, "unit", draft.unit, Unit::new);
        let record_type = |text: &str| RecordType::named(text).ok_or("must be \"positive\" or \"negative\"");
        let record_type = keep(&mut faults, "type", draft.record_type, record_type);
        let destination_id = keep(&mut faults, "destinationId", draft.destination_id, DestinationId::new);
        let source_id = keep(&mut faults, "sourceId", draft.source_id, SourceId::new);
        let reference = keep(&mut faults, "reference", draft.reference, Reference::new);
        for (field, is_asked) in [("type", record_type.is_some()), ("sourceId", source_id.is_some())] {
            if on == RuleOn::Total && is_asked {
                faults.push(Fault { field, reason: NOT_ON_TOTALS.to_owned() });
            }
        }
        match threshold {
            Some(threshold) if faults.is_empty() => {
                Ok(Self { name: draft.name, threshold, on, unit, record_type, destination_id, source_id, reference })
            }
            Some(_) | None => Err(faults),
        }
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

    /// Says whether a record meets the rule, given the summary of the earlier records of its key.
    #[must_use]
    pub fn is_met_by(&self, record: &Record, previous: &Summary) -> bool {
        self.is_met(record, || previous.nets_around(record))
    }

    fn is_met(&self, record: &Record, nets: impl FnOnce() -> (Net, Net)) -> bool {
        self.matches(record)
            && match self.on {
                RuleOn::Value => record.value > self.threshold,
                RuleOn::Total => {
                    let (before, after) = nets();
                    !before.is_above(self.threshold) && after.is_above(self.threshold)
                }
            }
    }

    fn matches(&self, record: &Record) -> bool {
        self.unit.as_ref().is_none_or(|unit| *unit == record.unit)
            && self.record_type.is_none_or(|record_type| record_type == record.record_type)
            && self.destination_id.as_ref().is_none_or(|id| *id == record.destination_id)
            && self.source_id.as_ref().is_none_or(|id| *id == record.source_id)
            && self.reference.as_ref().is_none_or(|reference| *reference == record.reference)
    }

    /// Writes the rule in the form in which adapters store it: a JSON object.
    #[must_use]
    pub fn to_stored(&self) -> String {
        serde_json::to_string(self).expect("a rule is always JSON")
    }

    /// Reads the output of [`Rule::to_stored`]; `None` for any other text.
    #[must_use]
    pub fn from_stored(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    (1..=63).contains(&name.len()) && letters && !name.starts_with('-')
}

/// Returns a valid field, or adds the reason why it is not.
fn keep<T, E: ToString>(
    faults: &mut Vec<Fault>,
    field: &'static str,
    text: Option<String>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<T> {
    let parsed = text.map(|text| parse(&text))?;
    parsed.map_err(|error| faults.push(Fault { field, reason: error.to_string() })).ok()
}

/// Rules by unique names, in the order in which they were given.
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

    /// Returns the rules that a record meets, given the summary of the earlier records of its key.
    #[must_use]
    pub fn met_by(&self, record: &Record, previous: &Summary) -> Vec<Arc<Rule>> {
        let nets = LazyCell::new(|| previous.nets_around(record));
        self.0.iter().filter(|rule| rule.is_met(record, || *nets)).cloned().collect()
    }

    /// Returns these rules together with further ones, which replace rules of the same name.
    #[must_use]
    pub fn overlaid<'a>(&self, others: impl IntoIterator<Item = &'a Arc<Rule>>) -> Self {
        let mut rules = self.0.clone();
        for other in others {
            match rules.iter_mut().find(|rule| rule.name == other.name) {
                Some(place) => *place = Arc::clone(other),
                None => rules.push(Arc::clone(other)),
            }
        }
        Self(rules)
    }

    /// Returns the rules.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// Writes the rules that a record met, as they were, in the form in which adapters store them: a JSON array.
#[must_use]
pub fn rules_to_json(rules: &[Arc<Rule>]) -> String {
    let rules: Vec<&Rule> = rules.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&rules).expect("a rule is always JSON")
}

/// Reads the output of [`rules_to_json`]; `None` for any other text.
#[must_use]
pub fn rules_from_json(json: &str) -> Option<Vec<Arc<Rule>>> {
    let rules: Vec<Rule> = serde_json::from_str(json).ok()?;
    Some(rules.into_iter().map(Arc::new).collect())
}

#[cfg(test)]
mod tests;
