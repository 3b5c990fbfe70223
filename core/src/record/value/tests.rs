//! The grammar of a value, its limits, and that nothing is ever rounded.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use proptest::prelude::*;

use super::ValueError::{Grammar, Negative, TooManyDigits, TooManyPlaces};
use super::*;
use crate::record::arbitrary::{any_value_parts as any_parts, plain};

/// Expects the text that the value is written as.
#[track_caller]
fn check(text: &str, expect: Result<&str, ValueError>) {
    let found = Value::parse(text);
    let shown: String = text.chars().take(80).collect();
    assert_eq!(found.map(|value| value.to_string()), expect.map(str::to_owned), "{shown:?}");
    if let Ok(value) = found {
        let again = Value::parse(&value.to_string()).unwrap();
        assert_eq!(again.parts(), value.parts(), "{shown:?} written and read again");
    }
}

#[test]
fn a_value_is_written_plainly_with_the_scale_it_came_with() {
    check("12", Ok("12"));
    check("12.50", Ok("12.50"));
    check("1.25e3", Ok("1250"));
    check("1e+2", Ok("100"));
    check("1E2", Ok("100"));
    check("1E+02", Ok("100"));
    check("125e-2", Ok("1.25"));
    check("1.250e1", Ok("12.50"));
    check("1.0e1", Ok("10"));
    check("100e-2", Ok("1.00"));
    check("5e-3", Ok("0.005"));
    check("0.001e2", Ok("0.1"));
    check("1e00000000000000000000000000000000000000002", Ok("100"));
    check("0.10", Ok("0.10"));
}

#[test]
fn zero_has_a_scale_too() {
    check("0", Ok("0"));
    check("0.00", Ok("0.00"));
    check("0e5", Ok("0"));
    check("0E0", Ok("0"));
    check("0e-5", Ok("0.00000"));
    check("0.00e1", Ok("0.0"));
    check("0.00e5", Ok("0"));
    check("0e28", Ok("0"));
    check("0e-28", Ok("0.0000000000000000000000000000"));
    check("0e-29", Err(TooManyPlaces));
    check("0.0000000000000000000000000000", Ok("0.0000000000000000000000000000"));
    check("0.00000000000000000000000000000", Err(TooManyPlaces));
    check(&format!("0e{}", "9".repeat(300)), Ok("0"));
    check(&format!("0e-{}", "9".repeat(300)), Err(TooManyPlaces));
}

#[test]
fn at_most_28_digits_are_held() {
    check("1234567890123456789012345678", Ok("1234567890123456789012345678"));
    check("9999999999999999999999999999", Ok("9999999999999999999999999999"));
    check("12345678901234567890123456789", Err(TooManyDigits));
    check("1e27", Ok("1000000000000000000000000000"));
    check("1e28", Err(TooManyDigits));
    check("0.1e28", Ok("1000000000000000000000000000"));
    check("0.1e29", Err(TooManyDigits));
    check("0.0000000000000000000000000001e28", Ok("1"));
    check("123456789012345678901234567.8", Ok("123456789012345678901234567.8"));
    check("1234567890123456789012345678.0", Err(TooManyDigits));
    // Trailing zeros count as written: dropping them would change the scale.
    check("10000000000000000000000000000e-1", Err(TooManyDigits));
    check("1.0000000000000000000000000000", Err(TooManyDigits));
    check("1.00000000000000000000000000000", Err(TooManyPlaces));
    // Beyond what 128 bits hold, and what a Decimal would take but 28 digits do not cover.
    check("79228162514264337593543950335", Err(TooManyDigits));
    check(&"9".repeat(39), Err(TooManyDigits));
    check(&"9".repeat(40), Err(TooManyDigits));
}

#[test]
fn at_most_28_places_are_held() {
    check("1e-28", Ok("0.0000000000000000000000000001"));
    check("1e-29", Err(TooManyPlaces));
    check("0.0000000000000000000000000001", Ok("0.0000000000000000000000000001"));
    check("0.00000000000000000000000000001", Err(TooManyPlaces));
    check("0.1234567890123456789012345678", Ok("0.1234567890123456789012345678"));
    check("0.9999999999999999999999999999", Ok("0.9999999999999999999999999999"));
    check("0.12345678901234567890123456789", Err(TooManyPlaces));
    check("1234567890123456789012345678e-28", Ok("0.1234567890123456789012345678"));
    check("0.00000000000000000000000000001e1", Ok("0.0000000000000000000000000001"));
    check("0.00000000000000000000000000010e1", Ok("0.0000000000000000000000000010"));
}

#[test]
fn an_exponent_of_any_length_is_understood() {
    let nines = "9".repeat(300);
    check(&format!("1e{nines}"), Err(TooManyDigits));
    check(&format!("1e+{nines}"), Err(TooManyDigits));
    check(&format!("1e-{nines}"), Err(TooManyPlaces));
    check(&format!("1.5e{}3", "0".repeat(300)), Ok("1500"));
    for limit in [i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(u32::MAX)] {
        check(&format!("0.1e{}", limit.unsigned_abs()), Err(TooManyDigits));
        check(&format!("0.1e-{}", limit.unsigned_abs()), Err(TooManyPlaces));
    }
}

#[test]
fn what_json_does_not_call_a_number_is_refused() {
    for text in [
        "",
        " ",
        "+5",
        "007",
        "00",
        "0123",
        "00.5",
        "5.",
        ".5",
        ".",
        "1_0",
        "1,0",
        "1 000",
        " 1",
        "1 ",
        "1\n",
        "1\0",
        "e",
        "1e",
        "1e+",
        "1e-",
        "e5",
        "1e5.0",
        "1.e5",
        ".e5",
        "1ee5",
        "1e5e5",
        "1e++5",
        "1e+-5",
        "1.2.3",
        "1..2",
        "NaN",
        "nan",
        "Infinity",
        "inf",
        "0x10",
        "0b1",
        "1f",
        "1d",
        "12.50 EUR",
        "\"12\"",
        "null",
        "true",
        "- 5",
        "--5",
    ] {
        check(text, Err(Grammar));
        check(&format!("-{text}"), Err(Grammar));
    }
}

#[test]
fn what_is_beyond_ascii_is_no_digit_no_sign_and_no_space() {
    for text in ["１２", "٣", "1٣", "1.٣", "1e٣", "²", "½", "\u{feff}1", "1\u{a0}", "\u{2212}5"] {
        check(text, Err(Grammar));
        check(&format!("-{text}"), Err(Grammar));
    }
}

#[test]
fn a_minus_sign_is_refused_even_before_zero() {
    for text in ["-5", "-0", "-0.00", "-1e3", "-0e-99", "-12.50"] {
        check(text, Err(Negative));
    }
}

#[test]
fn a_text_of_megabytes_takes_linear_time_and_little_stack() {
    // A second is far more than one pass over some megabytes takes, and far less than anything quadratic.
    let start = std::time::Instant::now();
    let many = |piece: &str| piece.repeat(4_000_000);
    check(&many("9"), Err(TooManyDigits));
    check(&many("0"), Err(Grammar));
    check(&format!("0.{}", many("0")), Err(TooManyPlaces));
    check(&format!("1e{}", many("9")), Err(TooManyDigits));
    check(&format!("1e{}2", many("0")), Ok("100"));
    check(&format!("0.{}1e4000001", many("0")), Ok("1"));
    check(&format!("0e-{}", many("9")), Err(TooManyPlaces));
    check(&many("-"), Err(Grammar));
    check(&many("1e"), Err(Grammar));
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

#[test]
fn the_reason_is_fit_to_be_shown() {
    let reason = |text: &str| Value::parse(text).unwrap_err().to_string();
    assert_eq!(
        reason("x"),
        "must be a decimal such as 12, 12.50 or 1.25e3, as a JSON number or as a string of the same form"
    );
    assert_eq!(reason("-5"), "must have no minus sign; the sign is the field \"type\"");
    assert_eq!(reason("1e28"), "must have at most 28 digits when written out plainly");
    assert_eq!(reason("1e-29"), "must have at most 28 decimal places when written out plainly");
}

fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

fn hash(value: Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn values_are_compared_as_numbers() {
    for (a, b) in [("12.50", "12.5"), ("1250", "1.25e3"), ("0", "0.00"), ("0e-28", "0"), ("1e27", "0.1e28")] {
        assert_eq!(value(a), value(b));
        assert_eq!(hash(value(a)), hash(value(b)), "{a} and {b}");
    }
    let ascending = [
        "0",
        "1e-28",
        "0.1",
        "0.9999999999999999999999999999",
        "1",
        "1.000000000000000000000000001",
        "9",
        "9.1",
        "1e27",
    ];
    assert!(ascending.map(value).windows(2).all(|pair| pair[0] < pair[1]));
    assert!(value("9999999999999999999999999999") > value("9999999999999999999999999998"));
    assert!(value("999999999999999999999999999.9") < value("9999999999999999999999999999"));
}

/// Compares as decimals are compared on paper: the same number of places, then digit by digit.
fn compare(a: (u128, u32), b: (u128, u32)) -> std::cmp::Ordering {
    let column = |(digits, places): (u128, u32)| format!("{digits:0>60}{}", "0".repeat(28 - places as usize));
    let (a, b) = (column(a), column(b));
    let width = a.len().max(b.len());
    format!("{a:0>width$}").cmp(&format!("{b:0>width$}"))
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_again(parts in any_parts()) {
        let text = plain(parts.0, parts.1);
        let value = Value::parse(&text).unwrap();
        prop_assert_eq!(value.to_string(), text);
        prop_assert_eq!(value.parts(), parts);
    }

    #[test]
    fn an_exponent_moves_the_point_and_nothing_else(parts in any_parts(), exponent in -60..=60_i64) {
        let (digits, places) = parts;
        let scale = i64::from(places) - exponent;
        let zeros = usize::try_from((-scale).max(0)).unwrap();
        let written = if digits == 0 { "0".to_owned() } else { format!("{digits}{}", "0".repeat(zeros)) };
        let expect = if scale > 28 {
            Err(TooManyPlaces)
        } else if written.len() > 28 {
            Err(TooManyDigits)
        } else {
            Ok(plain(written.parse().unwrap(), u32::try_from(scale.max(0)).unwrap()))
        };
        for e in ["e", "E"] {
            let text = format!("{}{e}{exponent}", plain(parts.0, parts.1));
            prop_assert_eq!(Value::parse(&text).map(|v| v.to_string()), expect.clone(), "{}", text);
        }
    }

    #[test]
    fn order_equality_and_hash_are_those_of_numbers(a in any_parts(), b in any_parts(), shift in 0..=28_u32) {
        // Half the pairs have nearly the same size: else the first digit would decide.
        let near = (a.0 / 10_u128.pow(shift), a.1.saturating_sub(shift));
        for other in [b, near] {
            let (x, y) = (value(&plain(a.0, a.1)), value(&plain(other.0, other.1)));
            prop_assert_eq!(x.cmp(&y), compare(a, other));
            prop_assert_eq!(x == y, compare(a, other).is_eq());
            prop_assert!(x != y || hash(x) == hash(y));
        }
    }

    #[test]
    fn every_text_that_is_accepted_is_a_json_number(text in "-?[0-9+.eE_ ]{0,12}") {
        let json = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        let is_number = json.is_ok_and(|raw| raw.get() == text);
        let refused_for_its_form = Value::parse(&text) == Err(Grammar);
        prop_assert_eq!(refused_for_its_form, !is_number, "{}", text);
    }
}
