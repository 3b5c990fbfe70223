//! The schemas of single fields, with limits from the code's constants.

use tallyhouse_pipeline::{DestinationId, Field, RecordId, Reference, SourceId, Summary, Unit, Value};

use super::model::{Ordered, Schema};
use crate::exchange::request::page_token::PageToken;

/// A flight of January 2013, as it is sent.
pub(super) const RECORD: &str = r#"{"recordId":"2013-01-01-UA1714-LGA-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","destinationId":"IAH","type":"positive","value":"20","unit":"minute","reference":"LGA"}"#;

/// No control character. Noncharacters, which are refused as well, are left out: regular expressions of ECMAScript write
/// them as `\u`, which those of RE2 and Go do not know.
const CLEAN: &str = r"[^\x00-\x1f\x7f-\x9f]";

/// The grammar of a number in JSON, without a sign.
pub(super) const DECIMAL_IN: &str = r"^(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$";

/// A position in a topic.
const POSITION: &str = r"^([0-9]{1,18}|[0-8][0-9]{18})(-([0-9]{1,9}|[1-3][0-9]{9}|4294967295))?(~[0-9a-f]{16})?$";
const LAST_POSITION: &str =
    r"^(([0-9]{1,18}|[0-8][0-9]{18})(-([0-9]{1,9}|[1-3][0-9]{9}|4294967295))?(~[0-9a-f]{16})?)?$";
/// Most characters of a position: 19 digits, a part of 10, and a fingerprint of 16.
const POSITION_CHARS_MAX: usize = 47;

/// A cursor of any kind: base64 by the alphabet for addresses.
const CURSOR: &str = "^[A-Za-z0-9_-]+$";

/// The dependencies that `/readyz` shows.
pub(super) fn dependencies() -> Schema {
    Schema::map(Schema::string_enum(["up", "down"]))
}

/// The circuit breakers that `/readyz` shows.
pub(super) fn breakers() -> Schema {
    Schema::map(Schema::string_enum(["closed", "open", "half-open"]))
}

fn clean(chars: std::ops::RangeInclusive<usize>) -> Schema {
    let pattern = format!("^{CLEAN}{{{},{}}}$", chars.start(), chars.end());
    Schema::text_of_length(chars).pattern(pattern)
}

pub(super) fn record_id() -> Schema {
    clean(RecordId::CHARS_MIN..=RecordId::CHARS_MAX).description("The record's identity, for ever.")
}

pub(super) fn source_id() -> Schema {
    clean(SourceId::CHARS_MIN..=SourceId::CHARS_MAX)
}

pub(super) fn destination_id() -> Schema {
    clean(DestinationId::CHARS_MIN..=DestinationId::CHARS_MAX)
}

pub(super) fn reference() -> Schema {
    clean(Reference::CHARS_MIN..=Reference::CHARS_MAX).description("May be empty.")
}

pub(super) fn unit() -> Schema {
    clean(Unit::CHARS_MIN..=Unit::CHARS_MAX).description("Unlike units are never added together.")
}

pub(super) fn record_type() -> Schema {
    Schema::reference_to("RecordType")
}

/// The fields that have few values, and the names of fields.
pub(super) fn enumerations(all: &mut Ordered<Schema>) {
    all.push(
        "RecordType",
        Schema::string_enum(["positive", "negative"]).description("The sign of the value in a net total."),
    );
    all.push("RecordField", Schema::string_enum(Field::ALL.map(Field::name)).description("A field of a record."));
}

/// An instant as it may be sent.
pub(super) fn time() -> Schema {
    Schema::text()
        .format("date-time")
        .description("RFC 3339 with an offset, years 0001 to 9999 in UTC. Second 60 is refused.")
}

/// An instant as it is written. It has no pattern: generators make a type of dates of it, which none applies to.
pub(super) fn instant() -> Schema {
    Schema::text().format("date-time").description("In UTC, with six decimal places of the second, or without any.")
}

pub(super) fn sequence() -> Schema {
    Schema::integer(1).description("Its ordinal among the records with its destination and reference: 1, 2, 3 …")
}

pub(super) fn position() -> Schema {
    Schema::text_of_length(1..=POSITION_CHARS_MAX).pattern(POSITION).description("A position, as it was handed out.")
}

/// The cursor of a page.
pub(super) fn cursor() -> Schema {
    Schema::text_of_length(2..=PageToken::CHARS_MAX).pattern(CURSOR)
}

/// The id of the last event that a client received. Before the first event, some clients send an empty text, which
/// counts as none.
pub(super) fn last_position() -> Schema {
    Schema::text_of_length(0..=POSITION_CHARS_MAX)
        .pattern(LAST_POSITION)
        .description("A position, as it was handed out, or nothing.")
}

/// A threshold or a value as it is written.
pub(super) fn value_out() -> Schema {
    let (digits, places) = (Value::DIGITS_MAX - 1, Value::PLACES_MAX);
    Schema::text().pattern(format!(r"^(0|[1-9][0-9]{{0,{digits}}})(\.[0-9]{{1,{places}}})?$"))
}

/// A threshold as it may be sent.
pub(super) fn threshold() -> Schema {
    Schema::any_of([Schema::text().pattern(DECIMAL_IN), Schema::integer(0)])
}

pub(super) fn sum() -> Schema {
    Schema::text().pattern(format!(r"^(0|[1-9][0-9]*)(\.[0-9]{{1,{}}})?$", Value::PLACES_MAX))
}

pub(super) fn net() -> Schema {
    let units = Summary::UNITS_MAX;
    let description = format!("The positive sum less the negative one. A key has at most {units} units.");
    Schema::text()
        .pattern(format!(r"^-?(0|[1-9][0-9]*)(\.[0-9]{{1,{}}})?$", Value::PLACES_MAX))
        .description(description)
}

/// A record as it is written.
pub(super) fn written_record() -> Schema {
    Schema::object()
        .with("recordId", record_id())
        .with("time", instant())
        .with("sourceId", source_id())
        .with("destinationId", destination_id())
        .with("type", record_type())
        .with("value", value_out().description("Written plainly, with the scale that it came with."))
        .with("unit", unit())
        .with("reference", reference())
}
