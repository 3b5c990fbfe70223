//! Which records a bound key may write, and how much it learns of others.

use super::*;

fn prefixes(source: Option<&str>, destination: Option<&str>) -> WritePrefixes {
    WritePrefixes::new(source, destination).unwrap()
}

fn record(source: &str, destination: &str) -> Record {
    let json = serde_json::json!({
        "recordId": "r", "time": "2026-01-01T00:00:00Z", "sourceId": source, "destinationId": destination,
        "type": "positive", "value": "1", "unit": "u", "reference": "",
    });
    Record::from_json(json.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn check((source, destination): (Option<&str>, Option<&str>), ids: (&str, &str), faults: &[&str]) {
    let record = record(ids.0, ids.1);
    match prefixes(source, destination).admit(record.clone()) {
        Ok(admitted) => assert_eq!((admitted, faults), (record, &[][..])),
        Err(rejection) => {
            let pointers: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!((pointers.as_slice(), rejection.code), (faults, RejectionCode::Rejected));
            assert_eq!(rejection.record_id, Some(record.record_id));
        }
    }
}

#[test]
fn ids_must_begin_with_the_prefixes_to_the_letter() {
    check((None, None), ("a", "b"), &[]);
    check((Some("till-"), None), ("till-3", "b"), &[]);
    check((Some("till-"), None), ("till-", "b"), &[]);
    check((Some("till-"), None), ("till", "b"), &["/sourceId"]);
    check((Some("till-"), None), ("Till-3", "b"), &["/sourceId"]);
    check((Some("till-"), None), (" till-3", "b"), &["/sourceId"]);
    check((Some("till-3"), None), ("till-30", "b"), &[]);
    check((None, Some("ü")), ("a", "üb"), &[]);
    // The same letter by other characters is another one.
    check((None, Some("ü")), ("a", "u\u{308}b"), &["/destinationId"]);
    check((Some("a"), Some("b")), ("ab", "ba"), &[]);
    check((Some("a"), Some("b")), ("ab", "ab"), &["/destinationId"]);
    check((Some("a"), Some("b")), ("ba", "ba"), &["/sourceId"]);
    check((Some("a"), Some("b")), ("b", "a"), &["/sourceId", "/destinationId"]);
}

#[test]
fn a_prefix_is_what_an_id_can_begin_with() {
    for bad in ["", "a\nb", "\u{85}", "\u{fffe}", &"x".repeat(256)] {
        let source = WritePrefixes::new(Some(bad), None).unwrap_err().to_string();
        assert_eq!(source, "source_prefix must have 1 to 255 characters, and no control characters", "{bad:?}");
        let destination = WritePrefixes::new(Some("good"), Some(bad)).unwrap_err().to_string();
        assert!(destination.starts_with("destination_prefix must"), "{bad:?}: {destination}");
    }
    for good in [" ", "\"", "\\", "é", &"ü".repeat(255)] {
        assert!(WritePrefixes::new(Some(good), Some(good)).is_ok(), "{good:?}");
    }
}

#[track_caller]
fn check_concealed(prefixes: &WritePrefixes, differs: &[Field], expect: &[Field]) {
    let record_id = record("a", "b").record_id;
    let conflict = |differs: &[Field]| Outcome::Conflict { record_id: record_id.clone(), differs: differs.to_vec() };
    assert_eq!(prefixes.redact(conflict(differs)), conflict(expect), "{prefixes:?}");
}

#[test]
fn a_conflict_in_a_bound_id_names_that_id_alone() {
    use Field::{DestinationId, SourceId, Time, Unit, Value};
    let (none, source, destination, both) =
        (prefixes(None, None), prefixes(Some("a"), None), prefixes(None, Some("b")), prefixes(Some("a"), Some("b")));
    check_concealed(&none, &[Time, SourceId, DestinationId, Unit], &[Time, SourceId, DestinationId, Unit]);
    check_concealed(&source, &[Time, SourceId, DestinationId, Unit], &[SourceId]);
    check_concealed(&destination, &[Time, SourceId, DestinationId, Unit], &[DestinationId]);
    check_concealed(&both, &[Time, SourceId, DestinationId, Unit], &[SourceId]);
    check_concealed(&both, &[Time, DestinationId, Unit], &[DestinationId]);
    // The same ids: the stored record is within the prefixes, too.
    check_concealed(&both, &[Time, Value], &[Time, Value]);
    check_concealed(&source, &[DestinationId], &[DestinationId]);
}
