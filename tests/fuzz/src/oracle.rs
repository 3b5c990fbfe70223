//! What the contract says of a record, as plainly as it can be written down.

mod json;
mod text;
mod time;
mod value;

pub(crate) use json::{Json, parse};
pub(crate) use text::is_text;
pub(crate) use time::{instant, written};
pub(crate) use value::plain;

/// The fields in their order.
pub(crate) const FIELDS: [&str; 8] =
    ["recordId", "time", "sourceId", "destinationId", "type", "value", "unit", "reference"];

/// What bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No JSON.
    NotJson,
    /// JSON, but no object.
    NoObject,
    /// An object: each field as it is written back, `None` where it breaks a rule.
    Fields([Option<String>; 8]),
}

impl Verdict {
    /// Returns the fields of a good record.
    pub(crate) fn record(&self) -> Option<[&str; 8]> {
        let Self::Fields(fields) = self else { return None };
        let mut texts = [""; 8];
        for (text, field) in texts.iter_mut().zip(fields) {
            *text = field.as_deref()?;
        }
        Some(texts)
    }

    /// Returns the pointers of what is broken.
    pub(crate) fn broken(&self) -> Vec<String> {
        match self {
            Self::NotJson | Self::NoObject => vec![String::new()],
            Self::Fields(fields) => {
                let broken = FIELDS.iter().zip(fields).filter(|(_, field)| field.is_none());
                broken.map(|(name, _)| format!("/{name}")).collect()
            }
        }
    }
}

/// Reads bytes as a record.
pub(crate) fn read(bytes: &[u8]) -> Verdict {
    let Some(json) = parse(bytes) else { return Verdict::NotJson };
    let Json::Object(members) = json else { return Verdict::NoObject };
    Verdict::Fields(FIELDS.map(|name| {
        let mut found = members.iter().filter(|(member, _)| member == name);
        match (found.next(), found.next()) {
            (Some((_, Json::Text(text))), None) => field(name, text),
            (Some((_, Json::Number(text))), None) if name == "value" => field(name, text),
            _ => None,
        }
    }))
}

/// Returns how a field of this text is written back, if the text keeps its rule.
pub(crate) fn field(name: &str, text: &str) -> Option<String> {
    let kept = |good: bool| good.then(|| text.to_owned());
    match name {
        "time" => instant(text).and_then(|(micros, _)| written(micros)),
        "type" => kept(text == "positive" || text == "negative"),
        "value" => plain(text),
        "unit" => kept(is_text(text, 1, 64)),
        "reference" => kept(is_text(text, 0, 255)),
        _ => kept(is_text(text, 1, 255)),
    }
}
