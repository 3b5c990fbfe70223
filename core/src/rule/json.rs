//! A rule from JSON that people write: every broken field is named at once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Fault, FieldError, Rule, RuleDraft};
use crate::record::json::json_text;
use crate::record::rejection::{Rejection, RejectionCode};

/// The members that a rule may have.
const MEMBERS: [&str; 8] = ["name", "threshold", "on", "unit", "type", "destinationId", "sourceId", "reference"];

/// Where the name of a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleName<'a> {
    /// This name; a text with another one is rejected.
    Fixed(&'a str),
    /// The name in the text, or this one if the text has none.
    OrElse(&'a str),
}

impl Rule {
    /// Reads a rule from JSON: an object with the fields of [`RuleDraft`], as camel case; a threshold may be a string
    /// or an integer. Members named in `ignored` are passed over; all other unknown ones are refused, since a rule
    /// without its misspelt condition would match every record.
    ///
    /// ```
    /// use tallyhouse_core::{RuleName, Rule};
    ///
    /// let json = br#"{"threshold":1000,"unit":"EUR"}"#;
    /// assert_eq!(Rule::from_json(json, RuleName::Fixed("large"), &[])?.name(), "large");
    ///
    /// let json = br#"{"threshold":-1,"units":"EUR"}"#;
    /// let rejection = Rule::from_json(json, RuleName::Fixed("large"), &[]).unwrap_err();
    /// let pointers: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
    /// assert_eq!(pointers, ["/threshold", "/units"]);
    /// # Ok::<(), tallyhouse_core::Rejection>(())
    /// ```
    ///
    /// # Errors
    /// Says whether the text is not well-formed JSON, or which rules it breaks: all of them.
    pub fn from_json(json: &[u8], name: RuleName<'_>, ignored: &[&str]) -> Result<Self, Rejection> {
        let text = json_text(json)?;
        let Ok(Members(members)) = serde_json::from_str(text) else {
            return Err(Rejection::at(None, "", "the rule must be a JSON object"));
        };
        let mut errors = Vec::new();
        let mut text_of = |field| match members.get(field).map(|raws| member_text(field, raws)) {
            None => None,
            Some(Ok(text)) => Some(text),
            Some(Err(reason)) => {
                errors.push(error(field, reason));
                None
            }
        };
        let own_name = text_of("name");
        let draft = RuleDraft {
            name: String::new(),
            // A broken or missing threshold is replaced by a valid one, so that it is not reported twice.
            threshold: text_of("threshold").unwrap_or_else(|| "0".to_owned()),
            on: text_of("on"),
            unit: text_of("unit"),
            record_type: text_of("type"),
            destination_id: text_of("destinationId"),
            source_id: text_of("sourceId"),
            reference: text_of("reference"),
        };
        if !members.contains_key("threshold") {
            errors.push(error("threshold", "is missing"));
        }
        let (fixed, name) = match name {
            RuleName::Fixed(name) => (true, name.to_owned()),
            RuleName::OrElse(name) => (false, own_name.clone().unwrap_or_else(|| name.to_owned())),
        };
        if fixed && own_name.is_some_and(|own_name| own_name != name) {
            errors.push(error("name", "must be the name in the path, or left out"));
        }
        let unknown = members.keys().filter(|name| !MEMBERS.contains(&&***name) && !ignored.contains(&&***name));
        errors.extend(unknown.map(|name| error(name, "is no field of a rule")));
        let rule = Self::check(RuleDraft { name, ..draft }).map_err(|faults| {
            errors.extend(faults.into_iter().map(|Fault { field, reason }| error(field, reason)));
        });
        errors.sort_by_key(|error| {
            MEMBERS.iter().position(|member| *member == &error.pointer[1..]).unwrap_or(usize::MAX)
        });
        match rule {
            Ok(rule) if errors.is_empty() => Ok(rule),
            Ok(_) | Err(()) => Err(Rejection { record_id: None, code: RejectionCode::Rejected, errors }),
        }
    }
}

/// Names a member by a JSON pointer, with `~` and `/` escaped (RFC 6901, section 3).
fn error(member: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: format!("/{}", member.replace('~', "~0").replace('/', "~1")), detail: detail.into() }
}

/// Returns the text of a member whose JSON is of a kind that the field may have.
fn member_text(field: &str, raws: &[&RawValue]) -> Result<String, &'static str> {
    let [raw] = raws else { return Err("must be given only once") };
    let raw = raw.get();
    let is_integer = raw.strip_prefix('-').unwrap_or(raw).bytes().all(|b| b.is_ascii_digit());
    match raw.as_bytes() {
        [b'"', ..] => serde_json::from_str(raw).map_err(|_| "must be a string"),
        _ if field == "threshold" && is_integer => Ok(raw.to_owned()),
        _ if field == "threshold" => Err("must be a string such as \"12.50\", or an integer"),
        _ => Err("must be a string"),
    }
}

/// The members of an object, each with all of its values.
struct Members<'a>(BTreeMap<Cow<'a, str>, Vec<&'a RawValue>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = BTreeMap::<Cow<'de, str>, Vec<&'de RawValue>>::new();
        while let Some((name, raw)) = map.next_entry()? {
            members.entry(name).or_default().push(raw);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests;
