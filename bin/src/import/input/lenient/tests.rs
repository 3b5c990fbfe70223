//! Tests of the spellings that files may have.

use proptest::prelude::*;
use tallyhouse_pipeline::{Timestamp, Value};

use super::*;

#[track_caller]
fn check_time(text: &str, expect: Option<&str>) {
    let read = Timestamp::parse(&time(text)).ok().map(|at| at.to_string());
    assert_eq!(read.as_deref(), expect, "{text:?}");
}

#[test]
fn times_are_read_as_postgres_writes_them() {
    check_time("2024-01-01 00:00:00+00", Some("2024-01-01T00:00:00Z"));
    check_time("2024-01-01 00:00:00.25-05", Some("2024-01-01T05:00:00.250000Z"));
    check_time("2024-01-01 00:00:00+05:30", Some("2023-12-31T18:30:00Z"));
    check_time("2024-01-01T00:00:00+0000", Some("2024-01-01T00:00:00Z"));
    check_time("2024-01-01 00:00:00-0130", Some("2024-01-01T01:30:00Z"));
    check_time("2024-01-01 00:00:00Z", Some("2024-01-01T00:00:00Z"));
    for bad in ["2024-01-01 00:00:00", "2024-01-01", "2024-01-01_00:00:00+00", "2024-01-01 00:00:00+0", "infinity", ""]
    {
        check_time(bad, None);
    }
    for bad in ["2024-01-01 00:00:00+00:00:30", "2024-01-01 00:00:00 +00", "2024-01-01 00:00:00+000"] {
        check_time(bad, None);
    }
}

#[test]
fn values_may_begin_with_the_point() {
    assert_eq!(Value::parse(&value(".5")), Value::parse("0.5"));
    for bad in [".", "-.5", "..5", ".e5", ""] {
        assert!(Value::parse(&value(bad)).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn what_the_api_takes_means_the_same_in_a_file(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
        let at = Timestamp::from_micros(micros).unwrap();
        prop_assert_eq!(Timestamp::parse(&time(&at.to_string())), Ok(at));
    }

    #[test]
    fn any_text_has_a_spelling(text in "[-0-9T :+Zz.\u{e9}]{0,30}") {
        if Timestamp::parse(&text).is_ok() {
            prop_assert_eq!(Timestamp::parse(&time(&text)), Timestamp::parse(&text));
        }
        let _spelled = value(&text);
    }
}
