//! Tests of the threshold and the rules.

use crate::settings::{Environment, Overrides, Settings};

fn load(file: &str, threshold: Option<&str>) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    std::fs::write(&path, file).unwrap();
    let overrides = Overrides { file: Some(path), values: Vec::new() };
    let variable = threshold.map(|text| ("TALLYHOUSE_ALERTS__THRESHOLD".to_owned(), text.to_owned()));
    let settings = Settings::load(&overrides, &Environment(variable.into_iter().collect()));
    let rules = settings.map_err(|error| error.to_string())?.rules;
    Ok(rules.iter().map(|rule| serde_json::to_string(rule).unwrap()).collect())
}

#[track_caller]
fn check(file: &str, threshold: Option<&str>, expect: Result<&[&str], &str>) {
    match (load(file, threshold), expect) {
        (Ok(rules), Ok(expect)) => assert_eq!(rules, expect),
        (Err(error), Err(expect)) => assert!(error.contains(expect), "{error}"),
        (loaded, expect) => panic!("{loaded:?}, expected {expect:?}"),
    }
}

#[test]
fn the_threshold_is_a_decimal_in_any_form_that_is_exact() {
    check("", None, Ok(&[r#"{"name":"default","threshold":"10000"}"#]));
    check("[alerts]\nthreshold = 5", None, Ok(&[r#"{"name":"default","threshold":"5"}"#]));
    check("[alerts]\nthreshold = \"5.50\"", None, Ok(&[r#"{"name":"default","threshold":"5.50"}"#]));
    check("", Some("7.25"), Ok(&[r#"{"name":"default","threshold":"7.25"}"#]));
    check("[alerts]\nthreshold = \"none\"", None, Ok(&[]));
    check("", Some("none"), Ok(&[]));
}

#[test]
fn an_invalid_threshold_is_refused() {
    check("[alerts]\nthreshold = 5.5", None, Err("must not be a TOML float"));
    check("[alerts]\nthreshold = true", None, Err("must be a decimal"));
    check("[alerts]\nthreshold = -5", None, Err("alerts.threshold = \"-5\""));
    check("", Some(""), Err("is not a threshold"));
    check("", Some("lots"), Err("from TALLYHOUSE_ALERTS__THRESHOLD, is not a threshold"));
    check("[alerts]\nthreshold = 99999999999999999999", None, Err("as a string"));
}

#[test]
fn rules_of_the_file_follow_the_rule_of_the_threshold() {
    let file = "[[alerts.rules]]\nname = \"big-eur\"\nthreshold = \"1000.50\"\nunit = \"EUR\"\ntype = \"positive\"\n\
                destinationId = \"d\"\nsourceId = \"s\"\nreference = \"\"\n[[alerts.rules]]\nname = \"b\"\nthreshold = 3";
    let big = r#"{"name":"big-eur","threshold":"1000.50","unit":"EUR","type":"positive","destinationId":"d","sourceId":"s","reference":""}"#;
    check(file, None, Ok(&[r#"{"name":"default","threshold":"10000"}"#, big, r#"{"name":"b","threshold":"3"}"#]));
    check(file, Some("none"), Ok(&[big, r#"{"name":"b","threshold":"3"}"#]));
}

#[test]
fn an_invalid_rule_is_named_by_its_number() {
    let rule = |fields: &str| format!("[[alerts.rules]]\nname = \"a\"\nthreshold = 1\n[[alerts.rules]]\n{fields}");
    let table = [
        ("name = \"b\"", "rule number 2: threshold is missing"),
        ("threshold = 1", "rule number 2: name is missing"),
        ("name = \"b\"\nthreshold = 1.5", "rule number 2: threshold must not be a TOML float"),
        ("name = \"b\"\nthreshold = 1\nunit = 5", "rule number 2: unit must be a string"),
        ("name = \"b\"\nthreshold = 1\ndestination_id = \"d\"", "did you mean \"destinationId\"?"),
        ("name = \"B\"\nthreshold = 1", "rule number 2: the rule name \"B\""),
        ("name = \"b\"\nthreshold = 1\ntype = \"neutral\"", "type"),
        ("name = \"a\"\nthreshold = 1", "\"a\" is used twice"),
        ("name = \"default\"\nthreshold = 1", "\"default\" is used twice"),
    ];
    for (fields, fault) in table {
        check(&rule(fields), None, Err(fault));
    }
    check("[alerts]\nrules = 5", None, Err("[[alerts.rules]] tables"));
    check("[alerts]\nrules = [5]", None, Err("must be a table"));
}

#[test]
fn the_name_default_is_free_when_the_threshold_is_off() {
    let file = "[[alerts.rules]]\nname = \"default\"\nthreshold = 1";
    check(file, Some("none"), Ok(&[r#"{"name":"default","threshold":"1"}"#]));
}
