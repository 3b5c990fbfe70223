//! Entries of other programs, whose fields are anything.

use redis::Value;

use super::*;

#[track_caller]
fn check(id: &str, at: Option<&str>, expect: &str) {
    let bulk = |text: &str| Value::BulkString(text.into());
    let fields = at.map_or_else(Vec::new, |at| vec![bulk("at"), bulk(at)]);
    let entry = Value::Array(vec![bulk(id), Value::Array(fields)]);
    let entries = Entry::read_all(Value::Array(vec![entry])).unwrap();
    let letter = dead_letter(entries.into_iter().next().unwrap());
    assert_eq!(letter.at, expect, "{id} {at:?}");
}

#[test]
fn a_time_that_is_none_gives_way_to_that_of_the_entry() {
    check("1767225600123-0", Some("2026-01-02T00:00:00Z"), "2026-01-02T00:00:00Z");
    check("1767225600123-0", Some("2026-01-02T01:00:00+01:00"), "2026-01-02T00:00:00Z");
    for bad in [None, Some(""), Some("yesterday"), Some("2026-13-01T00:00:00Z"), Some("<b>")] {
        check("1767225600123-0", bad, "2026-01-01T00:00:00.123000Z");
        check("18446744073709551615-0", bad, "0001-01-01T00:00:00Z");
        check("x", bad, "0001-01-01T00:00:00Z");
    }
}
