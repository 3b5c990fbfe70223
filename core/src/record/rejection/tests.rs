//! How a refusal is put into words and codes.

use super::*;

#[track_caller]
fn check(rejection: &Rejection, code: &str, detail: &str) {
    assert_eq!(rejection.code.name(), code);
    assert_eq!(rejection.detail(), detail);
    assert!(!rejection.errors.is_empty());
}

#[test]
fn each_kind_of_refusal_has_its_code_and_its_words() {
    check(&Rejection::at(None, "/unit", "is one too many"), "rejected", "/unit is one too many");
    check(&Rejection::at(None, "", "the record must be a JSON object"), "rejected", "the record must be a JSON object");
    check(&Rejection::not_json("the text is empty"), "not-json", "the text is empty");
    check(&Rejection::too_large(65_536), "too-large", "the record must be at most 65536 bytes long");
}

#[test]
fn several_reasons_make_one_line() {
    let mut faults = Faults::default();
    assert_eq!(faults.take(Field::Time, "12".parse::<u8>()), Some(12));
    assert_eq!(faults.take::<u8, _>(Field::Value, Err("is missing")), None);
    faults.add(Field::Unit, "must be a string");
    let rejection = Rejection { record_id: None, code: RejectionCode::Rejected, errors: faults.0 };
    check(&rejection, "rejected", "/value is missing; /unit must be a string");
    let json = serde_json::to_string(&rejection.errors).unwrap();
    assert_eq!(json, r#"[{"pointer":"/value","detail":"is missing"},{"pointer":"/unit","detail":"must be a string"}]"#);
}
