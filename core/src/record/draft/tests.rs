//! Eight texts become a record, or every one that is broken is named.

use super::*;

const GOOD: Draft<'static> = Draft {
    record_id: "r-1",
    time: "2026-01-01T00:00:00+01:00",
    source_id: "till-3",
    destination_id: "shop-9",
    record_type: "negative",
    value: "1.25e3",
    unit: "EUR",
    reference: "",
};

#[track_caller]
fn check(draft: Draft<'_>, record_id: Option<&str>, pointers: &[&str]) {
    let rejection = draft.check().expect_err("the draft is broken");
    assert_eq!(rejection.code, RejectionCode::Rejected);
    assert_eq!(rejection.record_id.as_ref().map(RecordId::as_str), record_id);
    let found: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(found, pointers);
}

#[test]
fn a_good_draft_becomes_the_record() {
    let record = GOOD.check().unwrap();
    assert_eq!(record.record_id.as_str(), "r-1");
    assert_eq!(record.time.to_string(), "2025-12-31T23:00:00Z");
    assert_eq!(record.source_id.as_str(), "till-3");
    assert_eq!(record.destination_id.as_str(), "shop-9");
    assert_eq!(record.record_type, RecordType::Negative);
    assert_eq!(record.value.to_string(), "1250");
    assert_eq!(record.unit.as_str(), "EUR");
    assert_eq!(record.reference.as_str(), "");
}

#[test]
fn every_broken_field_is_named_at_once() {
    check(Draft { time: "now", ..GOOD }, Some("r-1"), &["/time"]);
    check(Draft { value: "-1", unit: "", ..GOOD }, Some("r-1"), &["/value", "/unit"]);
    check(Draft { record_id: "", ..GOOD }, None, &["/recordId"]);
    let nothing = Draft {
        record_id: "",
        time: "",
        source_id: "",
        destination_id: "",
        record_type: "",
        value: "",
        unit: "",
        reference: "\0",
    };
    check(nothing, None, &Field::ALL.map(Field::pointer));
}

#[test]
fn the_record_id_is_echoed_where_it_is_valid_itself() {
    let long = "x".repeat(256);
    check(Draft { record_id: &long, value: "x", ..GOOD }, None, &["/recordId", "/value"]);
    check(Draft { record_id: &long[1..], value: "x", ..GOOD }, Some(&long[1..]), &["/value"]);
}

#[test]
fn a_type_is_one_of_two_words() {
    for wrong in ["", "Positive", "POSITIVE", "positive ", "+", "neutral"] {
        let rejection = Draft { record_type: wrong, ..GOOD }.check().unwrap_err();
        assert_eq!(rejection.detail(), "/type must be \"positive\" or \"negative\"");
    }
}
