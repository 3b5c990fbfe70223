//! What makes two records differ, how a record is written, and the names of its parts.

use super::*;
use crate::record::draft::Draft;

const DRAFT: Draft<'static> = Draft {
    record_id: "2013-01-01-UA1545-EWR-IAH",
    time: "2013-01-01T10:00:00Z",
    source_id: "UA",
    destination_id: "IAH",
    record_type: "positive",
    value: "11",
    unit: "minute",
    reference: "EWR",
};

#[track_caller]
fn check(again: Draft<'_>, differs: &[Field]) {
    let (a, b) = (DRAFT.check().unwrap(), again.check().unwrap());
    assert_eq!(a.differs(&b), differs);
    assert_eq!(b.differs(&a), differs);
    assert_eq!(a == b, differs.is_empty());
}

#[test]
fn every_field_that_differs_is_named_in_order() {
    check(DRAFT, &[]);
    check(Draft { record_id: "other", ..DRAFT }, &[Field::RecordId]);
    check(Draft { time: "2013-01-01T10:00:00.000001Z", ..DRAFT }, &[Field::Time]);
    check(Draft { source_id: "ua", ..DRAFT }, &[Field::SourceId]);
    check(Draft { destination_id: "IAH ", ..DRAFT }, &[Field::DestinationId]);
    check(Draft { record_type: "negative", ..DRAFT }, &[Field::Type]);
    check(Draft { value: "11.0000000000000000000000001", ..DRAFT }, &[Field::Value]);
    check(Draft { unit: "Minute", ..DRAFT }, &[Field::Unit]);
    check(Draft { reference: "", ..DRAFT }, &[Field::Reference]);
    let other = Draft {
        record_id: "a",
        time: "2014-01-01T10:00:00Z",
        source_id: "a",
        destination_id: "a",
        record_type: "negative",
        value: "1",
        unit: "a",
        reference: "a",
    };
    check(other, &Field::ALL);
}

#[test]
fn decimals_are_compared_as_numbers_and_times_as_instants() {
    check(Draft { value: "11.00", ..DRAFT }, &[]);
    check(Draft { value: "1.1e1", ..DRAFT }, &[]);
    check(Draft { time: "2013-01-01t12:00:00.0000009+02:00", ..DRAFT }, &[]);
}

#[test]
fn a_record_is_written_as_it_is_documented() {
    let json = serde_json::to_string(&DRAFT.check().unwrap()).unwrap();
    let expect = concat!(
        r#"{"recordId":"2013-01-01-UA1545-EWR-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA","#,
        r#""destinationId":"IAH","type":"positive","value":"11","unit":"minute","reference":"EWR"}"#
    );
    assert_eq!(json, expect);
}

#[test]
fn fields_and_types_are_found_by_their_names_alone() {
    for (place, field) in Field::ALL.into_iter().enumerate() {
        assert_eq!(Field::named(field.name()), Some(field));
        assert_eq!(field.pointer(), format!("/{}", field.name()));
        assert_eq!(field as usize, place, "json.rs counts on the order");
        assert_eq!(Field::named(&field.name().to_uppercase()), None);
        assert_eq!(Field::named(field.pointer()), None);
    }
    assert_eq!(Field::named(""), None);
    for record_type in [RecordType::Positive, RecordType::Negative] {
        assert_eq!(RecordType::named(record_type.name()), Some(record_type));
    }
    assert_eq!(RecordType::named("Positive"), None);
}

#[test]
fn the_key_is_the_destination_and_the_reference() {
    let key = DRAFT.check().unwrap().key();
    assert_eq!((key.destination_id.as_str(), key.reference.as_str()), ("IAH", "EWR"));
}

#[test]
fn the_weight_grows_with_every_text() {
    let weight = |draft: Draft<'_>| draft.check().unwrap().weight();
    let long = "é".repeat(64);
    let base = weight(DRAFT);
    assert!(base > 2 + 3 + 25 + 6 + 3);
    assert_eq!(weight(Draft { record_id: &long, ..DRAFT }), base + 128 - 25);
    assert_eq!(weight(Draft { source_id: &long, ..DRAFT }), base + 128 - 2);
    assert_eq!(weight(Draft { destination_id: &long, ..DRAFT }), base + 128 - 3);
    assert_eq!(weight(Draft { unit: &long, ..DRAFT }), base + 128 - 6);
    assert_eq!(weight(Draft { reference: &long, ..DRAFT }), base + 128 - 3);
}
