//! JSON becomes a record exactly where the contract says so, and what is refused is refused for every reason.

use bigdecimal::BigDecimal;
use tallyhouse_pipeline::{Draft, NESTING_MAX, Record, Rejection, RejectionCode, json_text, records_from_json_array};

use crate::oracle::{self, Verdict};

/// Checks bytes that may be a record in JSON.
pub fn check(json: &[u8]) {
    let (found, verdict) = (Record::from_json(json), oracle::read(json));
    agree(&found, &verdict);
    assert_eq!(json_text(json).is_ok(), verdict != Verdict::NotJson);
    if let Some(is_json) = another_opinion(json) {
        assert_eq!(is_json, verdict != Verdict::NotJson);
    }
    if verdict != Verdict::NotJson {
        // An element of an array is read as a record alone is.
        let array = [b"[", json, b"]"].concat();
        assert_eq!(records_from_json_array(&array, 1), Ok(vec![found.clone()]));
    }
    if let Ok(record) = &found {
        is_written_and_read_again(record);
    }
}

/// Checks that a record was read, or refused, as it should be.
pub(crate) fn agree(found: &Result<Record, Rejection>, verdict: &Verdict) {
    match (found, verdict.record()) {
        (Ok(record), Some(texts)) => assert_eq!(texts_of(record), texts),
        (Err(rejection), None) => {
            let code = if *verdict == Verdict::NotJson { RejectionCode::NotJson } else { RejectionCode::Rejected };
            assert_eq!(rejection.code, code);
            let pointers: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!(pointers, verdict.broken(), "every broken field is named, and no other");
            assert!(rejection.errors.iter().all(|error| !error.detail.is_empty()));
            let id = if let Verdict::Fields(fields) = verdict { fields[0].as_deref() } else { None };
            assert_eq!(rejection.record_id.as_ref().map(AsRef::as_ref), id, "an id is echoed where it is valid itself");
        }
        (Ok(_), None) => panic!("taken, but {:?} are broken: {found:?}", verdict.broken()),
        (Err(_), Some(_)) => panic!("refused, but good: {found:?}"),
    }
}

/// Returns the fields of a record as they are written in JSON.
pub(crate) fn texts_of(record: &Record) -> [String; 8] {
    let json = serde_json::to_value(record).expect("a record is always JSON");
    oracle::FIELDS.map(|name| json[name].as_str().expect("every field is written as a string").to_owned())
}

fn is_written_and_read_again(record: &Record) {
    let written = serde_json::to_vec(record).expect("a record is always JSON");
    let again = Record::from_json(&written);
    assert_eq!(again.as_ref(), Ok(record));
    assert!(again.is_ok_and(|again| again.differs(record).is_empty() && texts_of(&again) == texts_of(record)));
    let [record_id, time, source_id, destination_id, record_type, value, unit, reference] = &texts_of(record);
    let draft = Draft { record_id, time, source_id, destination_id, record_type, value, unit, reference };
    assert_eq!(draft.check().as_ref(), Ok(record));
    let exact: BigDecimal = value.parse().expect("a value is a decimal");
    let (digits, scale) = record.value.parts();
    assert_eq!(exact, BigDecimal::new(digits.into(), scale.into()), "a value is never rounded");
}

/// Asks a parser of general use whether it is JSON; `None` where that one has limits of its own.
fn another_opinion(json: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<serde_json::Value>(json) {
        // It allows a little less nesting than we do, and counts otherwise.
        Err(error) if error.to_string().contains("recursion limit") => None,
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
        Ok(_) if json.iter().filter(|b| matches!(b, b'[' | b'{')).count() > NESTING_MAX => None,
        Ok(_) => Some(true),
    }
}
