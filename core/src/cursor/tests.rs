//! Positions and cursors read back what they were written as, and nothing else is taken for one.

use proptest::prelude::*;

use super::*;
use crate::outcome::Outcome;
use crate::plan::{Known, plan};
use crate::record::arbitrary::record;
use crate::record::time::Timestamp;
use crate::rule::RuleSet;

fn stored(id: &str, at: &str) -> StoredRecord {
    let now = Timestamp::parse(at).unwrap();
    let plan = plan(&[record(id, "d", "", "1", "EUR").into()], Known::default(), &RuleSet::default(), now);
    match &plan.outcomes[0] {
        Outcome::Processed(stored) => (**stored).clone(),
        other => unreachable!("{other:?}"),
    }
}

const AT: &str = "2026-01-01T00:00:00Z";

#[test]
fn a_fingerprint_is_fnv_1a_of_the_id_and_the_time() {
    // Computed apart, by the reference algorithm.
    assert_eq!(Fingerprint::of(&stored("a", AT)).to_string(), "f2866e07c891f5d7");
}

#[test]
fn another_record_or_another_time_has_another_fingerprint() {
    let one = Fingerprint::of(&stored("a", AT));
    assert_ne!(one, Fingerprint::of(&stored("b", AT)));
    assert_ne!(one, Fingerprint::of(&stored("a", "2026-01-01T00:00:00.000001Z")));
}

#[test]
fn a_cursor_reads_back_as_it_was_written() {
    let record = stored("a", AT);
    for position in [Position { record: 1, part: 0 }, Position { record: 7, part: 2 }, Position::after_record(9)] {
        let cursor = Cursor::at(position, &record);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    assert_eq!("150".parse(), Ok(Cursor { position: Position { record: 150, part: 0 }, fingerprint: None }));
    assert_eq!(Cursor::START.to_string(), "0");
}

#[test]
fn nothing_else_is_taken_for_a_cursor() {
    for text in [
        "",
        "~",
        "1~",
        "1~0",
        "1~0123456789ABCDEF",
        "1~0123456789abcdefg",
        "x~0123456789abcdef",
        "+1",
        "1~+123456789abcdef",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
    }
}

#[track_caller]
fn check_position(text: &str, expected: Option<Position>) {
    assert_eq!(text.parse().ok(), expected, "{text:?}");
}

#[test]
fn a_position_is_read_as_it_was_handed_out_and_nothing_else_is() {
    let at = |record, part| Some(Position { record, part });
    check_position("0", Some(Position::START));
    check_position("17", at(17, 0));
    check_position("17-2", at(17, 2));
    check_position("9223372036854775807-4294967295", at(i64::MAX.unsigned_abs(), u32::MAX));
    for text in [
        "",
        " 1",
        "1 ",
        "+1",
        "-1",
        "1-",
        "-",
        "1--2",
        "1-+2",
        "1-2-3",
        "0x1",
        "1.0",
        "١",
        "9223372036854775808",
        "1-4294967296",
        "99999999999999999999999",
        "1\n",
    ] {
        check_position(text, None);
    }
    assert_eq!(CursorError.to_string(), "must be a position as it was handed out");
}

#[test]
fn positions_order_by_record_then_by_part() {
    let mut sorted = ["3", "2-1", "2", "10", "2-10", "2-2"].map(|text| text.parse::<Position>().unwrap());
    sorted.sort_unstable();
    assert_eq!(sorted.map(|position| position.to_string()), ["2", "2-1", "2-2", "2-10", "3", "10"]);
    let after = Position::after_record(2);
    assert!(after > "2-100".parse().unwrap() && after < "3".parse().unwrap());
}

proptest! {
    #[test]
    fn a_position_comes_back_from_its_text(record in 0..=i64::MAX.unsigned_abs(), part: u32) {
        let position = Position { record, part };
        prop_assert_eq!(position.to_string().parse(), Ok(position));
    }

    #[test]
    fn no_text_makes_reading_a_position_panic(text: String) {
        if let Ok(position) = text.parse::<Position>() {
            prop_assert_eq!(position.to_string().parse(), Ok(position));
        }
    }
}
