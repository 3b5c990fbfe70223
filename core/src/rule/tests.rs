//! Rules: what makes one, what meets one, and how they are kept.

use super::*;
use crate::testing::generate::record;

fn draft(name: &str, threshold: &str) -> RuleDraft {
    RuleDraft { name: name.to_owned(), threshold: threshold.to_owned(), ..RuleDraft::default() }
}

/// A rule that asks for everything that the record of [`sale`] has.
fn picky() -> RuleDraft {
    RuleDraft {
        unit: Some("EUR".to_owned()),
        record_type: Some("positive".to_owned()),
        destination_id: Some("D".to_owned()),
        source_id: Some("source".to_owned()),
        reference: Some("R".to_owned()),
        ..draft("picky", "10")
    }
}

fn sale(value: &str) -> Record {
    record("r", "D", "R", value, "EUR")
}

#[test]
fn a_name_is_1_to_63_of_few_letters() {
    let longest = "a".repeat(63);
    for name in ["a", "0", "default", "large-value", "9-", "a--b", &longest] {
        assert_eq!(Rule::new(draft(name, "1")).unwrap().name(), name);
    }
    let too_long = "a".repeat(64);
    for name in ["", "-a", "A", "a_b", "a b", "a.b", "ä", "a\n", &too_long] {
        assert_eq!(Rule::new(draft(name, "1")), Err(RuleError::Name(name.to_owned())));
    }
}

#[test]
fn a_field_keeps_the_rules_of_the_records_field() {
    #[track_caller]
    fn check(draft: RuleDraft, expected: &str) {
        assert_eq!(Rule::new(draft).unwrap_err().to_string(), expected);
    }
    let text = |text: &str| Some(text.to_owned());
    let form = "must be a decimal such as 12, 12.50 or 1.25e3, as a JSON number or as a string of the same form";
    check(draft("r", ""), &format!("the field threshold of the rule \"r\" {form}"));
    check(draft("r", "1_000"), &format!("the field threshold of the rule \"r\" {form}"));
    check(
        draft("r", "-1"),
        "the field threshold of the rule \"r\" must have no minus sign; the sign is the field \"type\"",
    );
    check(
        RuleDraft { unit: text(""), ..picky() },
        "the field unit of the rule \"picky\" must have 1 to 64 characters, has 0",
    );
    check(
        RuleDraft { destination_id: text(""), ..picky() },
        "the field destinationId of the rule \"picky\" must have 1 to 255 characters, has 0",
    );
    check(
        RuleDraft { source_id: text("a\tb"), ..picky() },
        "the field sourceId of the rule \"picky\" must not contain the control character U+0009",
    );
    check(
        RuleDraft { reference: text(&"x".repeat(256)), ..picky() },
        "the field reference of the rule \"picky\" must have 0 to 255 characters, has 256",
    );
    check(
        RuleDraft { record_type: text("Positive"), ..picky() },
        "the field type of the rule \"picky\" must be \"positive\" or \"negative\"",
    );
    check(draft("Bad", "1"), "the rule name \"Bad\" must be 1 to 63 of a-z, 0-9 and -, and must not begin with -");
}

#[test]
fn a_rule_is_met_strictly_above_its_threshold() {
    #[track_caller]
    fn check(threshold: &str, value: &str, expected: bool) {
        assert_eq!(
            Rule::new(draft("r", threshold)).unwrap().is_met_by(&sale(value)),
            expected,
            "{value} > {threshold}"
        );
    }
    check("10", "10", false);
    check("10", "10.000", false);
    check("10.00", "10", false);
    check("10", "9.9999999999999999999999999", false);
    check("10", "10.00000000000000000000000001", true);
    check("0", "0", false);
    check("0", "0.0000000000000000000000000001", true);
    check("9999999999999999999999999998", "9999999999999999999999999999", true);
    check("1e3", "1000.1", true);
}

#[test]
fn all_that_a_rule_asks_must_match_to_the_byte() {
    let rule = Rule::new(picky()).unwrap();
    assert!(rule.is_met_by(&sale("11")));
    let others = [
        record("r", "D", "R", "11", "eur"),
        record("r", "d", "R", "11", "EUR"),
        record("r", "D ", "R", "11", "EUR"),
        record("r", "D", "", "11", "EUR"),
        Record { record_type: RecordType::Negative, ..sale("11") },
        Record { source_id: SourceId::new("Source").unwrap(), ..sale("11") },
        sale("10"),
    ];
    for other in others {
        assert!(!rule.is_met_by(&other), "{other:?}");
    }
}

#[test]
fn a_rule_may_ask_for_the_empty_reference() {
    let rule = Rule::new(RuleDraft { reference: Some(String::new()), ..draft("r", "0") }).unwrap();
    assert!(rule.is_met_by(&record("r", "D", "", "1", "EUR")));
    assert!(!rule.is_met_by(&sale("1")));
}

#[test]
fn a_negative_record_is_judged_by_its_size() {
    let rule = Rule::new(draft("r", "10")).unwrap();
    assert!(rule.is_met_by(&Record { record_type: RecordType::Negative, ..sale("11") }));
}

#[test]
fn a_set_has_each_name_once_and_keeps_the_order() {
    let rule = |name: &str, threshold: &str| Rule::new(draft(name, threshold)).unwrap();
    let set = RuleSet::new([rule("z", "1"), rule("a", "5"), rule("m", "2")]).unwrap();
    assert_eq!(set.iter().map(Rule::name).collect::<Vec<_>>(), ["z", "a", "m"]);
    let met: Vec<String> = set.met_by(&sale("3")).iter().map(|rule| rule.name().to_owned()).collect();
    assert_eq!(met, ["z", "m"]);
    assert_eq!(RuleSet::default().met_by(&sale("3")), []);
    let twice = RuleSet::new([rule("a", "1"), rule("b", "1"), rule("a", "2")]);
    assert_eq!(twice.unwrap_err(), RuleError::Twice("a".to_owned()));
    assert_eq!(RuleError::Twice("a".to_owned()).to_string(), "the rule name \"a\" is used twice");
}

#[test]
fn kept_rules_come_back_as_they_were() {
    let rules = [
        Rule::new(draft("plain", "10.50")).unwrap(),
        Rule::new(picky()).unwrap(),
        Rule::new(RuleDraft { reference: Some(String::new()), unit: Some("\"x\\".to_owned()), ..draft("odd", "1e2") })
            .unwrap(),
    ]
    .map(Arc::new);
    let json = rules_to_json(&rules);
    assert_eq!(
        json,
        concat!(
            r#"[{"name":"plain","threshold":"10.50"},"#,
            r#"{"name":"picky","threshold":"10","unit":"EUR","type":"positive","destinationId":"D","sourceId":"source","reference":"R"},"#,
            r#"{"name":"odd","threshold":"100","unit":"\"x\\","reference":""}]"#,
        )
    );
    let back = rules_from_json(&json).unwrap();
    assert_eq!(back, rules);
    assert_eq!(rules_to_json(&back), json, "the threshold keeps its scale");
    assert_eq!(rules_from_json(&rules_to_json(&[])), Some(Vec::new()));
}

#[test]
fn what_is_not_a_kept_set_of_rules_is_refused() {
    for json in [
        "",
        "{}",
        "[1]",
        r#"[{"name":"a"}]"#,
        r#"[{"name":"a","threshold":1}]"#,
        r#"[{"name":"A","threshold":"1"}]"#,
        r#"[{"name":"a","threshold":"one"}]"#,
        r#"[{"name":"a","threshold":"1","unknown":"x"}]"#,
        r#"[{"name":"a","threshold":"1"}"#,
    ] {
        assert_eq!(rules_from_json(json), None, "{json}");
    }
}
