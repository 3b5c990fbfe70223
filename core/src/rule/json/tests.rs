//! Rules as people send them.

use super::*;

fn read(json: &str) -> Result<Rule, Rejection> {
    Rule::from_json(json.as_bytes(), RuleName::Fixed("big"), &["origin"])
}

#[track_caller]
fn good(json: &str, stored: &str) {
    assert_eq!(read(json).unwrap().to_stored(), stored);
}

#[track_caller]
fn refused(json: &str, pointers: &[&str]) {
    let rejection = read(json).unwrap_err();
    let found: Vec<&str> = rejection.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!((rejection.code, found.as_slice()), (RejectionCode::Rejected, pointers), "{rejection}");
}

#[test]
fn a_threshold_is_a_string_or_an_integer() {
    good(r#"{"threshold":"12.50"}"#, r#"{"name":"big","threshold":"12.50"}"#);
    good(r#"{"threshold":"1.25e3"}"#, r#"{"name":"big","threshold":"1250"}"#);
    good(r#"{"threshold":1000}"#, r#"{"name":"big","threshold":"1000"}"#);
    for threshold in ["1.5", "1e3", "-1", "true", "null", "[]", r#""""#, r#""-1""#, r#""1 ""#] {
        refused(&format!(r#"{{"threshold":{threshold}}}"#), &["/threshold"]);
    }
}

#[test]
fn every_condition_is_read() {
    let all = r#"{"name":"big","threshold":"1","unit":"EUR","type":"negative","destinationId":"D","sourceId":"S","reference":""}"#;
    good(all, all);
    good(
        r#"{"reference":"R","destinationId":"D","unit":"EUR","on":"total","threshold":"1"}"#,
        r#"{"name":"big","threshold":"1","on":"total","unit":"EUR","destinationId":"D","reference":"R"}"#,
    );
    good(r#"{"threshold":"1","on":"value"}"#, r#"{"name":"big","threshold":"1"}"#);
    good(r#"{"threshold":"1","origin":{"what":"is passed over"}}"#, r#"{"name":"big","threshold":"1"}"#);
    good("{\"un\\u0069t\":\"\\u0045UR\",\"threshold\":\"1\"}", r#"{"name":"big","threshold":"1","unit":"EUR"}"#);
}

#[test]
fn every_broken_field_is_named_at_once() {
    refused("{}", &["/threshold"]);
    refused(
        r#"{"name":"other","threshold":"x","on":"sum","unit":"","type":"neutral","destinationId":1,"sourceId":null,"reference":[],"a/b~":1}"#,
        &["/name", "/threshold", "/on", "/unit", "/type", "/destinationId", "/sourceId", "/reference", "/a~1b~0"],
    );
    refused(r#"{"threshold":1,"threshold":1}"#, &["/threshold"]);
    refused(r#"{"threshold":1,"units":"EUR"}"#, &["/units"]);
    refused("[]", &[""]);
    refused("\"a rule\"", &[""]);
}

#[test]
fn a_rule_on_totals_asks_for_no_part_of_them() {
    refused(r#"{"threshold":1,"on":"total","type":"positive","sourceId":"S"}"#, &["/type", "/sourceId"]);
}

#[test]
fn what_is_no_json_is_told_apart() {
    for json in ["", "{", "{\"threshold\":01}", "\u{feff}{}", "{\"threshold\":\"\\ud800\"}"] {
        assert_eq!(read(json).unwrap_err().code, RejectionCode::NotJson, "{json}");
    }
    assert_eq!(Rule::from_json(b"\xff", RuleName::Fixed("a"), &[]).unwrap_err().code, RejectionCode::NotJson);
}

#[test]
fn the_name_is_that_of_the_path_or_that_of_the_text() {
    let name = |json: &str, name| Rule::from_json(json.as_bytes(), name, &[]).map(|rule| rule.name().to_owned());
    assert_eq!(name(r#"{"threshold":1}"#, RuleName::OrElse("dry-run")).unwrap(), "dry-run");
    assert_eq!(name(r#"{"threshold":1,"name":"own"}"#, RuleName::OrElse("dry-run")).unwrap(), "own");
    assert_eq!(name(r#"{"threshold":1,"name":"own"}"#, RuleName::Fixed("own")).unwrap(), "own");
    for (json, given) in [
        (r#"{"threshold":1}"#, RuleName::Fixed("Not A Name")),
        (r#"{"threshold":1,"name":"Not A Name"}"#, RuleName::OrElse("dry-run")),
        (r#"{"threshold":1,"name":"own"}"#, RuleName::Fixed("other")),
        (r#"{"threshold":1,"name":7}"#, RuleName::Fixed("other")),
    ] {
        assert_eq!(name(json, given).unwrap_err().errors[0].pointer, "/name", "{json}");
    }
}
