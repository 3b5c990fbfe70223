//! Rules: what makes one, what meets one, and how they are kept.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::record::arbitrary::record;

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
            Rule::new(draft("r", threshold)).unwrap().is_met_by(&sale(value), &Summary::default()),
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
    assert!(rule.is_met_by(&sale("11"), &Summary::default()));
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
        assert!(!rule.is_met_by(&other, &Summary::default()), "{other:?}");
    }
}

#[test]
fn a_rule_may_ask_for_the_empty_reference() {
    let rule = Rule::new(RuleDraft { reference: Some(String::new()), ..draft("r", "0") }).unwrap();
    assert!(rule.is_met_by(&record("r", "D", "", "1", "EUR"), &Summary::default()));
    assert!(!rule.is_met_by(&sale("1"), &Summary::default()));
}

#[test]
fn a_negative_record_is_judged_by_its_size() {
    let rule = Rule::new(draft("r", "10")).unwrap();
    assert!(rule.is_met_by(&Record { record_type: RecordType::Negative, ..sale("11") }, &Summary::default()));
}

#[test]
fn a_set_has_each_name_once_and_keeps_the_order() {
    let rule = |name: &str, threshold: &str| Rule::new(draft(name, threshold)).unwrap();
    let set = RuleSet::new([rule("z", "1"), rule("a", "5"), rule("m", "2")]).unwrap();
    assert_eq!(set.iter().map(Rule::name).collect::<Vec<_>>(), ["z", "a", "m"]);
    let met: Vec<String> =
        set.met_by(&sale("3"), &Summary::default()).iter().map(|rule| rule.name().to_owned()).collect();
    assert_eq!(met, ["z", "m"]);
    assert_eq!(RuleSet::default().met_by(&sale("3"), &Summary::default()), []);
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

#[test]
fn a_rule_on_totals_asks_for_no_part_of_the_records() {
    let total = RuleDraft { on: Some("total".to_owned()), ..picky() };
    let source = RuleDraft { record_type: None, ..total.clone() };
    for (draft, field) in [(total, "type"), (source, "sourceId")] {
        let error = Rule::new(draft).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the field {field} of the rule \"picky\" can't be asked for")), "{error}");
    }
    let other = RuleDraft { on: Some("sum".to_owned()), ..draft("r", "1") };
    assert_eq!(
        Rule::new(other).unwrap_err().to_string(),
        "the field on of the rule \"r\" must be \"value\" or \"total\""
    );
}

#[test]
fn what_a_rule_is_on_is_kept_for_totals_only() {
    let on = |on: &str| Rule::new(RuleDraft { on: Some(on.to_owned()), ..draft("r", "1.0") }).unwrap();
    assert_eq!(on("value").to_stored(), r#"{"name":"r","threshold":"1.0"}"#);
    assert_eq!(on("total").to_stored(), r#"{"name":"r","threshold":"1.0","on":"total"}"#);
    for rule in [on("value"), on("total"), Rule::new(picky()).unwrap()] {
        assert_eq!(Rule::from_stored(&rule.to_stored()), Some(rule));
    }
    assert_eq!(Rule::from_stored(r#"{"name":"r","threshold":"1","on":"total","type":"positive"}"#), None);
}

/// A value with its sign, in units of 10^-18.
fn scaled(record: &Record) -> i128 {
    let text = record.value.to_string();
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    let digits: i128 = format!("{whole}{places:0<18}").parse().unwrap();
    if record.record_type == RecordType::Negative { -digits } else { digits }
}

#[test]
fn totals_far_beyond_one_value_are_compared_exactly() {
    let nines = "9".repeat(28);
    let rule = Rule::new(RuleDraft { on: Some("total".to_owned()), ..draft("total", &nines) }).unwrap();
    let mut summary = Summary::default();
    let mut met = |record_type, value: &str| {
        let record = Record { record_type, ..sale(value) };
        let met = rule.is_met_by(&record, &summary);
        summary.add(&record);
        met
    };
    let smallest = "0.0000000000000000000000000001";
    assert!(!met(RecordType::Positive, &nines));
    assert!(met(RecordType::Positive, smallest));
    for _ in 0..20 {
        assert!(!met(RecordType::Positive, &nines), "it is above already");
    }
    for _ in 0..20 {
        assert!(!met(RecordType::Negative, &nines));
    }
    assert!(!met(RecordType::Negative, smallest));
    assert!(!met(RecordType::Positive, "0.000"));
    assert!(met(RecordType::Positive, smallest), "it had fallen back to the threshold");
    assert!(!met(RecordType::Negative, &nines) && !met(RecordType::Negative, &nines), "below zero");
}

proptest! {
    /// The total is followed by another arithmetic, over all records and both units of one key.
    #[test]
    fn a_rule_on_totals_is_met_where_the_exact_total_crosses_its_threshold(
        steps in vec((any::<bool>(), any::<bool>(), "(0|[1-9][0-9]{0,2})(\\.[0-9]{1,18})?"), 1..40),
        threshold in "(0|[1-9][0-9]{0,2})(\\.[0-9]{1,18})?",
        in_unit in any::<bool>(),
    ) {
        let unit = in_unit.then(|| "EUR".to_owned());
        let draft = RuleDraft { on: Some("total".to_owned()), unit, ..draft("total", &threshold) };
        let set = RuleSet::new([Rule::new(draft).unwrap()]).unwrap();
        let limit = scaled(&sale(&threshold));
        let (mut summary, mut euros, mut dollars) = (Summary::default(), 0, 0);
        for (is_euro, is_negative, value) in steps {
            let record_type = if is_negative { RecordType::Negative } else { RecordType::Positive };
            let unit = Unit::new(if is_euro { "EUR" } else { "USD" }).unwrap();
            let record = Record { record_type, unit, ..sale(&value) };
            let total = if is_euro { &mut euros } else { &mut dollars };
            let before = *total;
            *total += scaled(&record);
            let expected = before <= limit && *total > limit && (is_euro || !in_unit);
            prop_assert_eq!(set.met_by(&record, &summary).len(), usize::from(expected), "{:?}", record);
            summary.add(&record);
        }
    }
}
