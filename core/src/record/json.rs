//! A record from JSON.
//!
//! The fast path is serde's derive, which reads every valid record. A text that it does not read takes the slow path, which
//! alone decides what is wrong: it reads each member by itself, so that every broken field is named at once.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::record::draft::{Draft, check_texts};
use crate::record::rejection::Rejection;
use crate::record::{Field, Record};

/// Deepest nesting of arrays and objects that is read, the record itself included.
pub const NESTING_MAX: usize = 128;

impl Record {
    /// Reads one record from JSON in UTF-8. Unknown members are ignored; a member of a record given twice is refused.
    /// O(bytes), for any nesting.
    ///
    /// ```
    /// use tallyhouse_core::Record;
    ///
    /// let json = br#"{"recordId":"r-1","time":"2026-01-01T01:00:00+01:00","sourceId":"till-3","destinationId":"shop-9",
    ///     "type":"positive","value":12.50,"unit":"EUR","reference":""}"#;
    /// let record = Record::from_json(json)?;
    /// assert_eq!((record.time.to_string().as_str(), record.value.to_string().as_str()), ("2026-01-01T00:00:00Z", "12.50"));
    ///
    /// let rejection = Record::from_json(br#"{"recordId":"r-2"}"#).unwrap_err();
    /// assert_eq!((rejection.errors.len(), rejection.errors[0].pointer.as_str()), (7, "/time"));
    /// # Ok::<(), tallyhouse_core::Rejection>(())
    /// ```
    ///
    /// # Errors
    /// Says whether the text is not well-formed JSON, or which rules of a record it breaks: all of them.
    pub fn from_json(json: &[u8]) -> Result<Self, Rejection> {
        let text = utf8(json)?;
        if let Some(record) = fast(text) {
            return check_skipped(text, NESTING_MAX).map(|()| record);
        }
        check_grammar(text)?;
        check_skipped(text, NESTING_MAX)?;
        slow(text)
    }
}

/// Reads a JSON array into its elements, each a record or the reasons why not. The array itself does not count towards
/// [`NESTING_MAX`], so that an element may nest as deeply as a record alone.
///
/// # Errors
/// The whole is refused if it is not well-formed JSON, not an array, or has more than `elements_max` elements.
pub fn records_from_json_array(json: &[u8], elements_max: usize) -> Result<Vec<Result<Record, Rejection>>, ArrayError> {
    let text = utf8(json).map_err(ArrayError::NotJson)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Elements { max: elements_max }.deserialize(&mut deserializer);
    let Ok(elements) = read.and_then(|elements| deserializer.end().map(|()| elements)) else {
        let json_text = check_grammar(text).and_then(|()| check_skipped(text, NESTING_MAX));
        return Err(json_text.map_or_else(ArrayError::NotJson, |()| ArrayError::NotAnArray));
    };
    let read_one = |element: &RawValue| {
        check_skipped(element.get(), NESTING_MAX).map_err(ArrayError::NotJson)?;
        Ok(fast(element.get()).map_or_else(|| slow(element.get()), Ok))
    };
    elements.ok_or(ArrayError::TooMany)?.into_iter().map(read_one).collect()
}

/// Why a body is not an array of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArrayError {
    /// Not well-formed JSON.
    NotJson(Rejection),
    /// JSON, but not an array.
    NotAnArray,
    /// More elements than allowed.
    TooMany,
}

/// Checks that bytes are one well-formed JSON text (RFC 8259) in UTF-8, nested no deeper than [`NESTING_MAX`], with no
/// lone surrogate, and returns the text.
///
/// # Errors
/// Says what is not well-formed, and where.
pub fn json_text(json: &[u8]) -> Result<&str, Rejection> {
    let text = utf8(json)?;
    check_grammar(text)?;
    check_skipped(text, NESTING_MAX)?;
    Ok(text)
}

/// Passes over a byte order mark (U+FEFF in UTF-8) at the beginning of a text. Some editors and spreadsheets write one.
#[must_use]
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

fn utf8(json: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(json)
        .map_err(|error| Rejection::not_json(format!("the text is not UTF-8 from byte {} on", error.valid_up_to() + 1)))
}

/// Checks the grammar alone, without recursion.
fn check_grammar(text: &str) -> Result<(), Rejection> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Rejection::not_json(format!("the text is not well-formed JSON: {error}"))),
    }
}

/// Checks the nesting and the surrogates of the values that serde_json skips, since it does not check them there.
fn check_skipped(text: &str, nesting_max: usize) -> Result<(), Rejection> {
    // Nearly every text opens few brackets and has no \u, and needs no check.
    let opened = text.bytes().filter(|b| matches!(b, b'[' | b'{')).count();
    if opened > nesting_max || text.contains("\\u") {
        return check_nesting_and_surrogates(text.as_bytes(), nesting_max);
    }
    Ok(())
}

/// Scans a text whose grammar is known to be right.
fn check_nesting_and_surrogates(json: &[u8], nesting_max: usize) -> Result<(), Rejection> {
    let (mut depth, mut in_string, mut at) = (0_usize, false, 0_usize);
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > nesting_max {
                    return Err(Rejection::not_json(format!("the text is nested deeper than {NESTING_MAX}")));
                }
            }
            b']' | b'}' if !in_string => depth -= 1,
            b'\\' => {
                let escaped = json.get(at).copied();
                at += 1;
                if escaped == Some(b'u') {
                    let unit = code_unit(json, at);
                    at += 4;
                    if (0xd800..0xdc00).contains(&unit)
                        && json.get(at..at + 2) == Some(b"\\u")
                        && (0xdc00..0xe000).contains(&code_unit(json, at + 2))
                    {
                        at += 6;
                    } else if (0xd800..0xe000).contains(&unit) {
                        return Err(Rejection::not_json("the text has a lone surrogate in a string"));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn code_unit(json: &[u8], at: usize) -> u32 {
    json.get(at..at + 4)
        .and_then(|hex| std::str::from_utf8(hex).ok())
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .unwrap_or_default()
}

/// The usual input: each of the eight members once, and of the right kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Good<'a> {
    #[serde(borrow)]
    record_id: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    source_id: Cow<'a, str>,
    #[serde(borrow)]
    destination_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    record_type: Cow<'a, str>,
    // Not a number: serde_json would send it through a float.
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(borrow)]
    reference: Cow<'a, str>,
}

fn fast(text: &str) -> Option<Record> {
    // serde's derive would take an array of eight too.
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let good: Good<'_> = serde_json::from_str(text).ok()?;
    let raw = good.value.get();
    let value: Cow<'_, str> =
        if raw.starts_with('"') { serde_json::from_str::<Borrowed<'_>>(raw).ok()?.0 } else { Cow::Borrowed(raw) };
    let draft = Draft {
        record_id: &good.record_id,
        time: &good.time,
        source_id: &good.source_id,
        destination_id: &good.destination_id,
        record_type: &good.record_type,
        value: &value,
        unit: &good.unit,
        reference: &good.reference,
    };
    draft.check().ok()
}

fn slow(text: &str) -> Result<Record, Rejection> {
    let Ok(Members(members)) = serde_json::from_str(text) else {
        return Err(Rejection::at(None, "", "the record must be a JSON object"));
    };
    let texts: [Result<Cow<'_, str>, &'static str>; 8] = std::array::from_fn(|i| match members[i] {
        Seen::Never => Err("is missing"),
        Seen::Once(raw) => member_text(Field::ALL[i], raw.get()),
        Seen::Often => Err("must be given only once"),
    });
    check_texts(texts.each_ref().map(|text| text.as_deref().map_err(|reason| *reason)))
}

/// Returns the text of a member whose JSON is of a kind that the field may have.
fn member_text(field: Field, raw: &str) -> Result<Cow<'_, str>, &'static str> {
    let wrong_kind = if field == Field::Value { "must be a JSON number or a string" } else { "must be a string" };
    match raw.as_bytes() {
        [b'"', ..] => serde_json::from_str::<Borrowed<'_>>(raw).map(|text| text.0).map_err(|_| wrong_kind),
        [b'-' | b'0'..=b'9', ..] if field == Field::Value => Ok(Cow::Borrowed(raw)),
        _ => Err(wrong_kind),
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// How often an object has a member.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Never,
    Once(&'a RawValue),
    Often,
}

/// The members of an object whose names are those of a record's fields, in the order of [`Field::ALL`].
struct Members<'a>([Seen<'a>; 8]);

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
        let mut members = [Seen::Never; 8];
        while let Some((Borrowed(name), raw)) = map.next_entry()? {
            if let Some(field) = Field::named(&name) {
                let seen = &mut members[field as usize];
                *seen = if matches!(seen, Seen::Never) { Seen::Once(raw) } else { Seen::Often };
            }
        }
        Ok(Members(members))
    }
}

/// The elements of an array, or `None` if there are more than `max`. They are counted while they are read: sixteen bytes
/// for each of millions of zeros in a body would take too much memory.
struct Elements {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element::<&'de RawValue>()? {
            if elements.len() == self.max {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            elements.push(element);
        }
        Ok(Some(elements))
    }
}

#[cfg(test)]
mod tests;
