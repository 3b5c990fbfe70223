//! What a summary says of its records, and the form in which it is kept.

use proptest::prelude::*;

use super::*;
use crate::record::arbitrary::{any_record, any_timestamp, any_type, any_value};
use crate::record::draft::Draft;

fn record(time: &str, record_type: &str, value: &str, unit: &str) -> Record {
    let draft =
        Draft { record_id: "r", time, source_id: "s", destination_id: "d", record_type, value, unit, reference: "" };
    draft.check().unwrap()
}

/// The three records of the documentation's example.
fn example() -> Summary {
    let records = [
        record("2013-01-01T10:00:00Z", "positive", "11", "minute"),
        record("2013-01-02T09:00:00Z", "positive", "20", "minute"),
        record("2013-01-01T12:00:00Z", "negative", "4", "minute"),
    ];
    records.iter().collect()
}

#[track_caller]
fn check_json(summary: &Summary, expect: &str) {
    assert_eq!(serde_json::to_string(summary).unwrap(), expect);
}

#[test]
fn a_summary_is_written_as_it_is_documented() {
    check_json(
        &example(),
        concat!(
            r#"{"count":3,"firstTime":"2013-01-01T10:00:00Z","lastTime":"2013-01-02T09:00:00Z","#,
            r#""totals":[{"unit":"minute","count":3,"positive":{"count":2,"sum":"31"},"negative":{"count":1,"sum":"4"},"net":"27"}]}"#
        ),
    );
    check_json(&Summary::default(), r#"{"count":0,"firstTime":null,"lastTime":null,"totals":[]}"#);
}

#[test]
fn each_side_keeps_its_scale_and_the_net_has_the_larger() {
    let at = "2013-01-01T10:00:00.5Z";
    let records = [
        record(at, "negative", "12.50", "EUR"),
        record(at, "positive", "12.5", "EUR"),
        record(at, "positive", "0", "EUR"),
    ];
    check_json(
        &records.iter().collect(),
        concat!(
            r#"{"count":3,"firstTime":"2013-01-01T10:00:00.500000Z","lastTime":"2013-01-01T10:00:00.500000Z","#,
            r#""totals":[{"unit":"EUR","count":3,"positive":{"count":2,"sum":"12.5"},"negative":{"count":1,"sum":"12.50"},"net":"0.00"}]}"#
        ),
    );
    check_json(
        &records[..1].iter().collect(),
        concat!(
            r#"{"count":1,"firstTime":"2013-01-01T10:00:00.500000Z","lastTime":"2013-01-01T10:00:00.500000Z","#,
            r#""totals":[{"unit":"EUR","count":1,"positive":{"count":0,"sum":"0"},"negative":{"count":1,"sum":"12.50"},"net":"-12.50"}]}"#
        ),
    );
}

#[test]
fn units_are_sorted_by_bytes_and_never_added_together() {
    let units = ["€", "z", "EUR", "eur", "Z", "a", "é", "EUR ", "\u{ffee}", "😀"];
    let summary: Summary = units.map(|unit| record("2013-01-01T10:00:00Z", "positive", "1", unit)).iter().collect();
    let found: Vec<&str> = summary.totals().iter().map(|total| total.unit.as_str()).collect();
    assert_eq!(found, ["EUR", "EUR ", "Z", "a", "eur", "z", "é", "€", "\u{ffee}", "😀"]);
    assert!(summary.totals().iter().all(|total| total.count() == 1 && total.net().to_string() == "1"));
    assert_eq!(summary.count(), 10);
}

#[test]
fn a_key_holds_up_to_100_units() {
    let unit = |i: usize| Unit::new(&format!("unit-{i}")).unwrap();
    let mut summary = Summary::default();
    for i in 0..Summary::UNITS_MAX {
        assert!(!summary.would_exceed_unit_limit(&unit(i)), "unit {i}");
        summary.add_value(Timestamp::MIN, RecordType::Positive, Value::parse("1").unwrap(), &unit(i));
    }
    assert!(summary.would_exceed_unit_limit(&unit(100)));
    assert!(!summary.would_exceed_unit_limit(&unit(7)), "a unit that is there already");
}

#[test]
fn the_units_of_a_key_have_8_kib_together() {
    // Units of so many such characters behind a number of three digits, and how many of them have room.
    for (character, count, expect) in [("x", 61, 100), ("𝄞", 19, 100), ("é", 61, 65), ("𝄞", 61, 33)] {
        let unit = |n: usize| Unit::new(&format!("{n:03}{}", character.repeat(count))).unwrap();
        let mut summary = Summary::default();
        for unit in (0..200).map(unit) {
            if !summary.would_exceed_unit_limit(&unit) {
                summary.add_value(Timestamp::MIN, RecordType::Positive, Value::parse("1").unwrap(), &unit);
            }
        }
        assert_eq!(summary.totals().len(), expect, "{character} {count}");
        assert!(!summary.would_exceed_unit_limit(&unit(0)), "a unit that is there already");
        assert!(summary.weight() > summary.totals().iter().map(|total| total.unit.as_str().len()).sum());
    }
}

#[test]
fn the_compact_form_is_fixed_because_stores_keep_it() {
    let compact = r#"[3,1357034400000000,1357117200000000,[["minute",2,"31",1,"4"]]]"#;
    assert_eq!(example().to_compact(), compact);
    assert_eq!(Summary::from_compact(compact), Some(example()));
    assert_eq!(Summary::default().to_compact(), "[0,null,null,[]]");
    assert_eq!(Summary::from_compact("[0,null,null,[]]"), Some(Summary::default()));
    let quoted: Summary = [record("1970-01-01T00:00:00Z", "negative", "0.10", "\"\\é")].iter().collect();
    assert_eq!(quoted.to_compact(), r#"[1,0,0,[["\"\\é",0,"0",1,"0.10"]]]"#);
    assert_eq!(Summary::from_compact(&quoted.to_compact()), Some(quoted));
}

#[test]
fn a_compact_form_that_contradicts_itself_is_not_read() {
    let good = r#"[3,0,1,[["a",1,"31",0,"0"],["b",1,"2.50",1,"4"]]]"#;
    assert!(Summary::from_compact(good).is_some());
    for (from, to) in [
        // Another shape.
        ("[3,", "3,"),
        ("]]]", "]]],0]"),
        ("]]]", "]]"),
        ("[3,", "[\"3\","),
        ("[3,", "[3.0,"),
        ("[3,", "[-3,"),
        ("\"31\",0", "31,0"),
        ("\"31\",0,\"0\"", "\"31\",0"),
        ("\"31\",0,\"0\"", "\"31\",0,\"0\",0"),
        // Counts that are not the sum of their parts, or impossible.
        ("[3,", "[2,"),
        ("[3,", "[4,"),
        ("[3,0,1,[", "[3,0,1,[[\"A\",0,\"0\",0,\"0\"],"),
        ("[3,0,1,[[\"a\",1", "[9223372036854775810,0,1,[[\"a\",9223372036854775808"),
        ("[3,0,1,[[\"a\",1", "[18446744073709551618,0,1,[[\"a\",18446744073709551616"),
        ("[3,0,1,[[\"a\",1,\"31\",0", "[1,0,1,[[\"a\",18446744073709551615,\"31\",0"),
        // Times where there are no records, or none where there are; in the wrong order; out of range.
        ("[3,0,1", "[3,null,null"),
        ("[3,0,1", "[3,0,null"),
        ("[3,0,1", "[3,null,1"),
        ("[3,0,1", "[3,1,0"),
        ("[3,0,1", "[3,0,253402300800000000"),
        ("[3,0,1", "[3,-62135596800000001,1"),
        // Units out of order, twice, or against the rules.
        ("\"a\"", "\"c\""),
        ("\"a\"", "\"b\""),
        ("\"a\"", "\"\""),
        ("\"a\"", "\"\\u0000\""),
        // Sums that are not written so, or that so many values can't have.
        ("\"31\"", "\"031\""),
        ("\"31\"", "\"-31\""),
        ("\"31\"", "\"3.1e1\""),
        ("\"31\"", "\"10000000000000000000000000000\""),
        ("0,\"0\"", "0,\"1\""),
        ("0,\"0\"", "0,\"0.0\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from:?} is not there");
        assert_eq!(Summary::from_compact(&bad), None, "{bad}");
    }
    for bad in [
        "",
        "null",
        "{}",
        "[]",
        "[0,0,0,[]]",
        "[1,0,0,[]]",
        "[0,null,null]",
        "[0,null,null,[],[]]",
        "[0,null,null,[]] 1",
    ] {
        assert_eq!(Summary::from_compact(bad), None, "{bad}");
    }
}

#[test]
fn a_stored_summary_can_be_added_to_without_wrapping() {
    let full =
        Summary::from_compact(r#"[9223372036854775807,0,1,[["minute",9223372036854775807,"5",0,"0"]]]"#).unwrap();
    let mut twice = full.clone();
    let side = full.totals()[0].positive;
    twice.add_side(&full.totals()[0].unit, RecordType::Negative, side, Timestamp::MIN, Timestamp::MAX);
    twice.add(&record("2013-01-01T10:00:00Z", "positive", "1", "minute"));
    assert_eq!(twice.count(), u64::MAX);
}

#[test]
fn a_side_of_no_records_adds_nothing() {
    let mut summary = example();
    let unit = Unit::new("other").unwrap();
    summary.add_side(&unit, RecordType::Positive, Side::default(), Timestamp::MIN, Timestamp::MAX);
    assert_eq!(summary, example());
}

/// Records of few units, so that several meet in one total.
fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let unit = prop::sample::select(vec!["b", "B", "é", "a"]).prop_map(|text| Unit::new(text).unwrap());
    let parts = (any_timestamp(), any_type(), any_value(), unit);
    let one = (any_record(), parts).prop_map(|(record, (time, record_type, value, unit))| Record {
        time,
        record_type,
        value,
        unit,
        ..record
    });
    prop::collection::vec(one, 0..20)
}

proptest! {
    #[test]
    fn the_compact_form_is_read_again(records in any_records(), other in any_record()) {
        let mut summary: Summary = records.iter().collect();
        for _ in 0..2 {
            let compact = summary.to_compact();
            prop_assert_eq!(Summary::from_compact(&compact), Some(summary.clone()), "{}", compact);
            summary.add(&other);
        }
    }

    #[test]
    fn a_summary_is_what_its_records_say(records in any_records()) {
        let summary: Summary = records.iter().collect();
        prop_assert_eq!(summary.count(), records.len() as u64);
        let first = records.iter().map(|record| record.time).min();
        let last = records.iter().map(|record| record.time).max();
        prop_assert_eq!(summary.times(), first.zip(last));
        let mut units: Vec<&Unit> = records.iter().map(|record| &record.unit).collect();
        units.sort();
        units.dedup();
        prop_assert_eq!(summary.totals().iter().map(|total| &total.unit).collect::<Vec<_>>(), units);
        for total in summary.totals() {
            for (side, record_type) in [(total.positive, RecordType::Positive), (total.negative, RecordType::Negative)] {
                let mine = || records.iter().filter(|r| r.unit == total.unit && r.record_type == record_type);
                let mut sum = Sum::ZERO;
                mine().for_each(|record| sum.add(record.value));
                prop_assert_eq!(side, Side { count: mine().count() as u64, sum });
            }
        }
    }

    #[test]
    fn adding_sides_is_adding_records_one_by_one(records in any_records(), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(records.len() + 1);
        let mut summary: Summary = records[..cut].iter().collect();
        let rest: Summary = records[cut..].iter().collect();
        for total in rest.totals() {
            for (side, record_type) in [(total.positive, RecordType::Positive), (total.negative, RecordType::Negative)] {
                let times = records[cut..].iter().filter(|r| r.unit == total.unit && r.record_type == record_type).map(|r| r.time);
                if let (Some(first), Some(last)) = (times.clone().min(), times.max()) {
                    summary.add_side(&total.unit, record_type, side, first, last);
                }
            }
        }
        prop_assert_eq!(summary, records.iter().collect());
    }

    #[test]
    fn the_order_of_records_does_not_matter(mut records in any_records()) {
        let forwards: Summary = records.iter().collect();
        records.reverse();
        prop_assert_eq!(records.iter().collect::<Summary>(), forwards);
    }
}
