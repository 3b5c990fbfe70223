//! Which JSON is a record, and what each refusal names.

mod laws;
mod limits;

use super::*;
use crate::record::rejection::RejectionCode;

/// The example of the documentation.
const EXAMPLE: &str = r#"{"recordId":"2013-01-01-UA1545-EWR-IAH","time":"2013-01-01T10:00:00Z","sourceId":"UA",
 "destinationId":"IAH","type":"positive","value":"11","unit":"minute","reference":"EWR"}"#;

/// The eight members with those of `changes` in place of the original ones: `None` leaves a member out.
fn members(changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let example = [
        ("recordId", r#""r-1""#),
        ("time", r#""2013-01-01T10:00:00Z""#),
        ("sourceId", r#""UA""#),
        ("destinationId", r#""IAH""#),
        ("type", r#""positive""#),
        ("value", r#""11""#),
        ("unit", r#""minute""#),
        ("reference", r#""EWR""#),
    ];
    let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, json)| *json);
    let written = |(name, json)| change(name).unwrap_or(Some(json)).map(|json| format!("\"{name}\":{json}"));
    example.into_iter().filter_map(written).collect()
}

fn with(changes: &[(&str, Option<&str>)]) -> String {
    format!("{{{}}}", members(changes).join(","))
}

/// A good record with one more member, or several, at the end.
fn and(more: &str) -> String {
    format!("{{{},{more}}}", members(&[]).join(","))
}

/// Expects the value of a record that is good.
#[track_caller]
fn check_good(json: &str) -> Record {
    match Record::from_json(json.as_bytes()) {
        Ok(record) => record,
        Err(rejection) => panic!("{json}: {rejection:?}"),
    }
}

/// Expects a refusal with this record id, at these places and for these reasons.
#[track_caller]
fn check(json: &str, record_id: Option<&str>, expect: &[(&str, &str)]) {
    let rejection = Record::from_json(json.as_bytes()).expect_err(json);
    assert_eq!(rejection.code, RejectionCode::Rejected, "{json}: {rejection:?}");
    let found: Vec<(&str, &str)> = rejection.errors.iter().map(|e| (e.pointer.as_str(), e.detail.as_str())).collect();
    assert_eq!(found, expect, "{json}");
    assert_eq!(rejection.record_id.as_ref().map(|id| id.as_str()), record_id, "{json}");
}

/// How the refusal begins where the grammar is broken; serde_json says more.
const GRAMMAR: &str = "the text is not well-formed JSON: ";

/// Expects that it is no JSON, as a record and as an element among good ones, and how the refusal begins.
#[track_caller]
fn check_not_json(json: impl AsRef<[u8]>, detail: &str) {
    let json = json.as_ref();
    let shown = String::from_utf8_lossy(json);
    let rejection = Record::from_json(json).expect_err(&shown);
    assert_eq!(rejection.code, RejectionCode::NotJson, "{shown}: {rejection:?}");
    assert!(rejection.detail().starts_with(detail), "{shown}: {}", rejection.detail());
    assert_eq!(json_text(json), Err(rejection.clone()), "{shown}");
    assert_eq!((rejection.errors.len(), &*rejection.errors[0].pointer, rejection.record_id), (1, "", None), "{shown}");

    let array = [b"[".as_slice(), EXAMPLE.as_bytes(), b",", json, b"]"].concat();
    let refused = records_from_json_array(&array, 10).expect_err(&shown);
    assert!(matches!(refused, ArrayError::NotJson(_)), "{shown}: {refused:?}");
}

#[test]
fn the_example_is_a_record() {
    let record = check_good(EXAMPLE);
    assert_eq!(record.record_id.as_str(), "2013-01-01-UA1545-EWR-IAH");
    assert_eq!(record.time.to_string(), "2013-01-01T10:00:00Z");
    assert_eq!((record.source_id.as_str(), record.destination_id.as_str()), ("UA", "IAH"));
    assert_eq!(record.record_type.name(), "positive");
    assert_eq!((record.value.to_string().as_str(), record.unit.as_str()), ("11", "minute"));
    assert_eq!(record.reference.as_str(), "EWR");
    assert_eq!(json_text(EXAMPLE.as_bytes()), Ok(EXAMPLE));
}

#[test]
fn a_value_is_a_number_or_a_string_of_the_same_grammar() {
    for (json, value) in [
        ("12", "12"),
        ("12.50", "12.50"),
        (r#""12.50""#, "12.50"),
        ("1.25e3", "1250"),
        (r#""1.25E+3""#, "1250"),
        ("0.1234567890123456789012345678", "0.1234567890123456789012345678"),
        ("9999999999999999999999999999", "9999999999999999999999999999"),
        ("1e-28", "0.0000000000000000000000000001"),
        (r#""1\u0032""#, "12"),
    ] {
        assert_eq!(check_good(&with(&[("value", Some(json))])).value.to_string(), value, "{json}");
    }
    let grammar = "must be a decimal such as 12, 12.50 or 1.25e3, as a JSON number or as a string of the same form";
    for (json, detail) in [
        ("-5", "must have no minus sign; the sign is the field \"type\""),
        ("-0", "must have no minus sign; the sign is the field \"type\""),
        ("1e28", "must have at most 28 digits when written out plainly"),
        ("1e999", "must have at most 28 digits when written out plainly"),
        ("0.12345678901234567890123456789", "must have at most 28 decimal places when written out plainly"),
        (r#""""#, grammar),
        (r#"" 1""#, grammar),
        (r#""NaN""#, grammar),
        (r#""1_0""#, grammar),
        (r#""\"12\"""#, grammar),
        ("null", "must be a JSON number or a string"),
        ("true", "must be a JSON number or a string"),
        ("[12]", "must be a JSON number or a string"),
        (r#"{"$serde_json::private::RawValue":"12"}"#, "must be a JSON number or a string"),
    ] {
        check(&with(&[("value", Some(json))]), Some("r-1"), &[("/value", detail)]);
    }
}

#[test]
fn a_member_that_is_missing_null_or_of_another_kind_is_named() {
    for field in Field::ALL {
        let id = (field != Field::RecordId).then_some("r-1");
        check(&with(&[(field.name(), None)]), id, &[(field.pointer(), "is missing")]);
        let detail = if field == Field::Value { "must be a JSON number or a string" } else { "must be a string" };
        for json in ["null", "true", "false", "[]", "{}", r#"["a"]"#, r#"{"a":"b"}"#] {
            check(&with(&[(field.name(), Some(json))]), id, &[(field.pointer(), detail)]);
        }
        if field != Field::Value {
            for json in ["0", "12", "-1.5e3", "1e999"] {
                check(&with(&[(field.name(), Some(json))]), id, &[(field.pointer(), detail)]);
            }
        }
    }
}

#[test]
fn every_broken_member_is_named_at_once() {
    check("{}", None, &Field::ALL.map(|field| (field.pointer(), "is missing")));
    let nulls = Field::ALL.map(|field| (field.name(), Some("null")));
    let detail = |field| if field == Field::Value { "must be a JSON number or a string" } else { "must be a string" };
    check(&with(&nulls), None, &Field::ALL.map(|field| (field.pointer(), detail(field))));
    let some =
        [("time", Some(r#""2013-01-01""#)), ("type", Some(r#""plus""#)), ("unit", None), ("reference", Some("0"))];
    check(
        &with(&some),
        Some("r-1"),
        &[
            ("/time", "must be an RFC 3339 date-time with an offset, such as 2013-01-01T10:00:00Z"),
            ("/type", "must be \"positive\" or \"negative\""),
            ("/unit", "is missing"),
            ("/reference", "must be a string"),
        ],
    );
}

#[test]
fn a_member_of_a_record_given_twice_is_refused_there() {
    let twice = "must be given only once";
    for field in Field::ALL {
        let (name, pointer) = (field.name(), field.pointer());
        let id = (field != Field::RecordId).then_some("r-1");
        // The same again, another good one, a broken one before or after: it is one fault all the same.
        let same = members(&[]).swap_remove(field as usize);
        check(&and(&same), id, &[(pointer, twice)]);
        check(&and(&format!("\"{name}\":\"2\"")), id, &[(pointer, twice)]);
        check(&and(&format!("\"{name}\":null,\"{name}\":[]")), id, &[(pointer, twice)]);
        // A member's name is what it spells, however it is spelt.
        let escaped = format!("\"\\u{:04x}{}\":\"2\"", u32::from(name.as_bytes()[0]), &name[1..]);
        check(&and(&escaped), id, &[(pointer, twice)]);
    }
    check(&and(r#""record\u0049d":"r-2""#), None, &[("/recordId", twice)]);
    check(
        &format!("{{{},\"value\":\"1\"}}", members(&[("recordId", Some("7"))]).join(",")),
        None,
        &[("/recordId", "must be a string"), ("/value", twice)],
    );
}

#[test]
fn a_member_may_be_spelt_with_escapes() {
    let json =
        EXAMPLE.replace("recordId", "record\\u0049d").replace("minute", "m\\u0069nut\\u00e9\\ud83d\\ude00\\/\\\\");
    let record = check_good(&json);
    assert_eq!((record.record_id.as_str(), record.unit.as_str()), ("2013-01-01-UA1545-EWR-IAH", "minuté😀/\\"));
    let control = with(&[("unit", Some(r#""a\u0000b""#)), ("reference", Some(r#""\n""#))]);
    let detail = |code| format!("must not contain the control character U+{code}");
    check(&control, Some("r-1"), &[("/unit", &detail("0000")), ("/reference", &detail("000A"))]);
    let wide = with(&[("unit", Some(r#""\uffff""#))]);
    check(&wide, Some("r-1"), &[("/unit", "must not contain the noncharacter U+FFFF")]);
}

#[test]
fn unknown_members_of_any_kind_are_ignored() {
    for more in [
        r#""x":1,"x":2"#,
        r#""x":1,"\u0078":2"#,
        r#""x":1e999,"y":-1e-999"#,
        r#""":null"#,
        r#""recordid":"r-2","RECORDID":"r-3"," recordId":"r-4","/recordId":"r-5""#,
        r#""recordId\u0000":"r-2""#,
        r#""x":{"recordId":"r-2","recordId":"r-3"}"#,
        r#""x":["\ud83d\ude00","\\ud800","\\\\","\u0000\uffff"]"#,
        r#""x":[[],{},[{}],"[[[{{{"]"#,
        r#""$serde_json::private::RawValue":"{}""#,
        r#""$serde_json::private::Number":"1""#,
    ] {
        assert_eq!(check_good(&and(more)), check_good(&with(&[])), "{more}");
    }
    assert_eq!(check_good(&and(&format!("\"x\":{}", "9".repeat(1_000_000)))), check_good(&with(&[])));
}

#[test]
fn whitespace_is_that_of_json() {
    let spaced = format!(" \t\r\n{} \t\r\n", members(&[]).join(" ,\n").replace("\":\"", "\" :\t\""));
    check_not_json(&spaced, GRAMMAR);
    check_good(&format!(" \t\r\n{{ \t\r\n{spaced} \t\r\n}} \t\r\n"));
    for space in ["\u{a0}", "\u{feff}", "\u{2028}", "\u{c}", "\0"] {
        check_not_json(format!("{space}{}", with(&[])), GRAMMAR);
    }
}

#[test]
fn json_of_another_kind_is_refused_as_a_whole() {
    let eight = r#"["r-1","2013-01-01T10:00:00Z","UA","IAH","positive","11","minute","EWR"]"#;
    for json in ["null", "true", "0", "-1.5e3", "1e999", r#""text""#, "[]", "[{}]", eight, &format!("[{EXAMPLE}]")] {
        check(json, None, &[("", "the record must be a JSON object")]);
        check(&format!("\n {json} "), None, &[("", "the record must be a JSON object")]);
    }
}

#[test]
fn the_record_id_is_echoed_only_where_it_is_valid_and_certain() {
    let grammar = "must be a decimal such as 12, 12.50 or 1.25e3, as a JSON number or as a string of the same form";
    let broken = |id: Option<&str>| with(&[("recordId", id), ("value", Some(r#""x""#))]);
    check(&broken(Some(r#""é/\"1""#)), Some("é/\"1"), &[("/value", grammar)]);
    check(&broken(Some("12")), None, &[("/recordId", "must be a string"), ("/value", grammar)]);
    check(&broken(Some(r#""""#)), None, &[("/recordId", "must have 1 to 255 characters, has 0"), ("/value", grammar)]);
    let control = "must not contain the control character U+007F";
    check(&broken(Some("\"\u{7f}\"")), None, &[("/recordId", control), ("/value", grammar)]);
    check(&broken(None), None, &[("/recordId", "is missing"), ("/value", grammar)]);
}
