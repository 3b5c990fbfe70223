//! Proptest strategies for any valid record and its parts, over the whole range that the rules allow. For tests alone.

use proptest::prelude::*;

use crate::record::draft::Draft;
use crate::record::text::{DestinationId, RecordId, Reference, SourceId, Unit};
use crate::record::time::Timestamp;
use crate::record::value::Value;
use crate::record::{Record, RecordType};

/// Any instant; half of them whole seconds, which are written in another form.
pub(crate) fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    let micros = Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros();
    (micros, prop_oneof![Just(1), Just(1_000_000)])
        .prop_map(|(micros, unit)| Timestamp::from_micros(micros / unit * unit).unwrap())
}

/// Digits and decimal places, of which every pair makes a valid value.
pub(crate) fn any_value_parts() -> impl Strategy<Value = (u128, u32)> {
    let digits = (0..=28_u32).prop_flat_map(|len| 0..10_u128.pow(len));
    (digits, 0..=28_u32)
}

/// Writes digits and places plainly, without the code under test.
pub(crate) fn plain(digits: u128, places: u32) -> String {
    let places = places as usize;
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    any_value_parts().prop_map(|(digits, places)| Value::parse(&plain(digits, places)).unwrap())
}

pub(crate) fn any_type() -> impl Strategy<Value = RecordType> {
    prop_oneof![Just(RecordType::Positive), Just(RecordType::Negative)]
}

/// Any text within the rules: every character allowed, those that JSON escapes more often than others.
pub(crate) fn any_text(min: usize, max: usize) -> impl Strategy<Value = String> {
    let allowed = |c: char| if RecordId::new(c.encode_utf8(&mut [0; 4])).is_ok() { c } else { '\u{fffd}' };
    let awkward =
        prop::sample::select(vec!['"', '\\', '/', ' ', '{', '[', '\u{a0}', 'é', '\u{2028}', '\u{feff}', '😀']);
    let c = prop_oneof![prop::char::range(' ', '~'), awkward, any::<char>().prop_map(allowed)];
    // Most texts are short; the longest are rare but within reach.
    let len = prop_oneof![9 => min..=max.min(12), 1 => min..=max];
    len.prop_flat_map(move |len| prop::collection::vec(c.clone(), len)).prop_map(String::from_iter)
}

pub(crate) fn any_unit() -> impl Strategy<Value = Unit> {
    any_text(1, 64).prop_map(|text| Unit::new(&text).unwrap())
}

pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let texts = (any_text(1, 255), any_text(1, 255), any_text(1, 255), any_text(0, 255));
    (texts, any_timestamp(), any_type(), any_value(), any_unit()).prop_map(
        |((record_id, source_id, destination_id, reference), time, record_type, value, unit)| Record {
            record_id: RecordId::new(&record_id).unwrap(),
            time,
            source_id: SourceId::new(&source_id).unwrap(),
            destination_id: DestinationId::new(&destination_id).unwrap(),
            record_type,
            value,
            unit,
            reference: Reference::new(&reference).unwrap(),
        },
    )
}

/// A positive record of 2026-01-01 from the source `source`.
pub(crate) fn record(id: &str, destination_id: &str, reference: &str, value: &str, unit: &str) -> Record {
    let draft = Draft {
        record_id: id,
        time: "2026-01-01T00:00:00Z",
        source_id: "source",
        destination_id,
        record_type: "positive",
        value,
        unit,
        reference,
    };
    draft.check().unwrap()
}
