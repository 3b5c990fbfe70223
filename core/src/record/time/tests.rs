//! RFC 3339 to the letter, in both directions.

use proptest::prelude::*;

use super::*;
use crate::record::arbitrary::any_timestamp;

/// Expects the text that the instant is written as.
#[track_caller]
fn check(text: &str, expect: Result<&str, TimestampError>) {
    let found = Timestamp::parse(text);
    assert_eq!(found.map(|at| at.to_string()), expect.map(str::to_owned), "{text:?}");
    if let Ok(at) = found {
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at), "{text:?} written and read again");
        assert_eq!(Timestamp::try_from(at.to_chrono()), Ok(at), "{text:?} through chrono");
    }
}

const BAD: Result<&str, TimestampError> = Err(TimestampError::NotRfc3339);
const OUT: Result<&str, TimestampError> = Err(TimestampError::OutOfRange);
const LEAP: Result<&str, TimestampError> = Err(TimestampError::LeapSecond);

#[test]
fn a_time_is_written_in_utc_with_no_fraction_or_six_digits() {
    check("2013-01-01T10:00:00Z", Ok("2013-01-01T10:00:00Z"));
    check("2013-01-01t10:00:00z", Ok("2013-01-01T10:00:00Z"));
    check("2013-01-01T10:00:00+00:00", Ok("2013-01-01T10:00:00Z"));
    check("2013-01-01T10:00:00-00:00", Ok("2013-01-01T10:00:00Z"));
    check("2013-01-01T10:00:00+02:00", Ok("2013-01-01T08:00:00Z"));
    check("2013-01-01T10:00:00-05:30", Ok("2013-01-01T15:30:00Z"));
    check("2013-01-01T00:00:00+23:59", Ok("2012-12-31T00:01:00Z"));
    check("2013-01-01T00:00:00-23:59", Ok("2013-01-01T23:59:00Z"));
    check("2013-01-01T10:00:00.000Z", Ok("2013-01-01T10:00:00Z"));
    check("2013-01-01T10:00:00.5Z", Ok("2013-01-01T10:00:00.500000Z"));
    check("2013-01-01T10:00:00.000001Z", Ok("2013-01-01T10:00:00.000001Z"));
    check("2013-01-01T10:00:00.5+01:00", Ok("2013-01-01T09:00:00.500000Z"));
    check("1969-12-31T23:59:59.999999Z", Ok("1969-12-31T23:59:59.999999Z"));
    check("1970-01-01T00:00:00Z", Ok("1970-01-01T00:00:00Z"));
}

#[test]
fn digits_finer_than_a_microsecond_are_dropped() {
    check("2013-01-01T10:00:00.1234567Z", Ok("2013-01-01T10:00:00.123456Z"));
    check("2013-01-01T10:00:00.999999999Z", Ok("2013-01-01T10:00:00.999999Z"));
    check("1969-12-31T23:59:59.9999999Z", Ok("1969-12-31T23:59:59.999999Z"));
    check(&format!("2013-01-01T10:00:00.{}Z", "9".repeat(1_000_000)), Ok("2013-01-01T10:00:00.999999Z"));
    check(&format!("2013-01-01T10:00:00.{}", "9".repeat(1_000_000)), BAD);
}

#[test]
fn a_day_or_a_second_that_does_not_exist_is_refused() {
    check("2012-02-29T00:00:00Z", Ok("2012-02-29T00:00:00Z"));
    check("2013-02-29T00:00:00Z", BAD);
    check("2000-02-29T00:00:00Z", Ok("2000-02-29T00:00:00Z"));
    check("1900-02-29T00:00:00Z", BAD);
    check("2013-04-31T00:00:00Z", BAD);
    check("2013-00-01T00:00:00Z", BAD);
    check("2013-13-01T00:00:00Z", BAD);
    check("2013-01-00T00:00:00Z", BAD);
    check("2013-01-01T24:00:00Z", BAD);
    check("2013-01-01T23:60:00Z", BAD);
    check("2013-01-01T23:59:61Z", BAD);
    check("2016-12-31T23:59:60Z", LEAP);
    check("2017-01-01T00:59:60.5+01:00", LEAP);
}

#[test]
fn an_offset_is_required_and_below_a_day() {
    for offset in ["", "+24:00", "-24:00", "+00:60", "+0:00", "+0000", "+00", "+00:00:00", "+00:00Z", "ZZ", " Z", "UTC"]
    {
        check(&format!("2013-01-01T10:00:00{offset}"), BAD);
        check(&format!("2013-01-01T10:00:00.5{offset}"), BAD);
    }
    // U+2212 is what ISO 8601 prefers as a minus; RFC 3339 is ASCII.
    check("2013-01-01T10:00:00\u{2212}01:00", BAD);
}

#[test]
fn what_only_looks_like_rfc_3339_is_refused() {
    for text in [
        "",
        "2013-01-01",
        "2013-01-01 10:00:00Z",
        "2013-01-01_10:00:00Z",
        "20130101T100000Z",
        "2013-001T10:00:00.00Z",
        "2013-01-01T10:00Z",
        "2013-01-01T10:00:00.Z",
        "2013-01-01T10:00:00,5Z",
        "2013-01-01T10:00:00.5.5Z",
        "2013-01-01T10:00:00. 5Z",
        " 2013-01-01T10:00:00Z",
        "2013-01-01T10:00:00Z ",
        "2013-01-01T10:00:00Z\0",
        "2013-1-01T10:00:00.0Z",
        "+2013-01-01T10:00:00Z",
        "-2013-01-01T10:00:00Z",
        "12013-01-01T10:00:00Z",
        "+013-01-01T10:00:00Z",
        "2013-+1-01T10:00:00Z",
        "2013-01-01T10:00:-1Z",
        "2013/01/01T10:00:00Z",
        "2013-01-01T10.00.00Z",
        "1356998400.000000000Z",
    ] {
        check(text, BAD);
    }
}

#[test]
fn a_text_beyond_ascii_is_refused_without_a_panic() {
    check("２０１３-０１-０１T１０:００:００Z", BAD);
    check(&"é".repeat(10), BAD);
    check(&"😀".repeat(5), BAD);
    // A character across each boundary at which the text is cut.
    let good = "2013-01-01T10:00:00.123456+01:00";
    for at in 0..good.len() {
        for wide in ["é", "€", "😀", "٣"] {
            check(&format!("{}{wide}{}", &good[..at], &good[at + 1..]), BAD);
            check(&format!("{}{wide}{}", &good[..at], &good[at..]), BAD);
        }
    }
}

#[test]
fn the_year_counts_after_conversion_to_utc() {
    check("0001-01-01T00:00:00Z", Ok("0001-01-01T00:00:00Z"));
    check("0000-12-31T23:59:59Z", OUT);
    check("0000-12-31T23:30:00-01:00", Ok("0001-01-01T00:30:00Z"));
    check("0001-01-01T00:30:00+01:00", OUT);
    check("0000-02-29T00:00:00Z", OUT);
    check("0000-02-30T00:00:00Z", BAD);
    check("9999-12-31T23:59:59.9999999Z", Ok("9999-12-31T23:59:59.999999Z"));
    check("9999-12-31T23:30:00-01:00", OUT);
    check("9999-12-31T23:30:00+01:00", Ok("9999-12-31T22:30:00Z"));
    check("10000-01-01T00:00:00Z", BAD);
}

#[test]
fn the_first_and_the_last_instant_are_what_they_are_called() {
    assert_eq!(Timestamp::MIN.to_string(), "0001-01-01T00:00:00Z");
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    assert_eq!(Timestamp::from_micros(Timestamp::MIN.as_micros()), Some(Timestamp::MIN));
    assert_eq!(Timestamp::from_micros(Timestamp::MIN.as_micros() - 1), None);
    assert_eq!(Timestamp::from_micros(Timestamp::MAX.as_micros()), Some(Timestamp::MAX));
    assert_eq!(Timestamp::from_micros(Timestamp::MAX.as_micros() + 1), None);
    assert_eq!(Timestamp::from_micros(i64::MIN), None);
    assert_eq!(Timestamp::from_micros(i64::MAX), None);
    for far in [DateTime::<chrono::Utc>::MIN_UTC, DateTime::<chrono::Utc>::MAX_UTC] {
        assert_eq!(Timestamp::try_from(far), Err(TimestampError::OutOfRange));
    }
}

#[track_caller]
fn check_bound(text: &str, expect: Result<&str, TimestampError>) {
    assert_eq!(Timestamp::parse_bound(text).map(|at| at.to_string()), expect.map(str::to_owned), "{text:?}");
}

#[test]
fn a_bound_finer_than_a_microsecond_rounds_up() {
    check_bound("2013-01-01T10:00:00Z", Ok("2013-01-01T10:00:00Z"));
    check_bound("2013-01-01T10:00:00.000001Z", Ok("2013-01-01T10:00:00.000001Z"));
    check_bound("2013-01-01T10:00:00.0000010000Z", Ok("2013-01-01T10:00:00.000001Z"));
    check_bound("2013-01-01T10:00:00.0000010001Z", Ok("2013-01-01T10:00:00.000002Z"));
    check_bound("2013-01-01T10:00:00.9999999+01:00", Ok("2013-01-01T09:00:01Z"));
    check_bound("1969-12-31T23:59:59.9999991Z", Ok("1970-01-01T00:00:00Z"));
    check_bound("0000-12-31T23:59:59Z", OUT);
    check_bound("2013-01-01", BAD);
    check_bound("9999-12-31T23:59:59.999999Z", Ok("9999-12-31T23:59:59.999999Z"));
    let beyond = Timestamp::parse_bound("9999-12-31T23:59:59.9999991Z").unwrap();
    assert_eq!(beyond.as_micros(), Timestamp::MAX.as_micros() + 1, "above every record");
}

#[test]
fn the_reason_is_fit_to_be_shown() {
    let reason = |text: &str| Timestamp::parse(text).unwrap_err().to_string();
    assert_eq!(reason("yesterday"), "must be an RFC 3339 date-time with an offset, such as 2013-01-01T10:00:00Z");
    assert_eq!(reason("2016-12-31T23:59:60Z"), "must not be a leap second (second 60)");
    assert_eq!(reason("0000-01-01T00:00:00Z"), "must be in the years 0001 to 9999 in UTC");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(at in any_timestamp()) {
        let text = at.to_string();
        prop_assert!(text.len() == 20 || text.len() == 27, "{}", text);
        prop_assert_eq!(Timestamp::parse(&text), Ok(at));
        prop_assert_eq!(Timestamp::parse_bound(&text), Ok(at));
    }

    #[test]
    fn reading_agrees_with_chrono_at_any_offset(at in any_timestamp(), minutes in -1439..=1439_i32) {
        let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let local = at.to_chrono().with_timezone(&offset);
        prop_assume!((0..=9999).contains(&local.year()));
        prop_assert_eq!(Timestamp::parse(&local.to_rfc3339()), Ok(at));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        if let Ok(at) = Timestamp::parse(&text) {
            prop_assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        }
    }

    #[test]
    fn what_is_accepted_is_accepted_by_chrono_too(
        text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])"
    ) {
        if let Ok(at) = Timestamp::parse(&text) {
            let other = DateTime::parse_from_rfc3339(&text).unwrap();
            prop_assert_eq!(Timestamp::try_from(other), Ok(at));
        }
    }
}
