//! Sums against addition on paper, digit by digit: no two share a line of code.

use proptest::prelude::*;

use super::*;
use crate::record::arbitrary::any_value;

fn value(text: &str) -> Value {
    Value::parse(text).unwrap()
}

fn sum<'a>(values: impl IntoIterator<Item = &'a str>) -> Sum {
    let mut sum = Sum::ZERO;
    values.into_iter().for_each(|text| sum.add(value(text)));
    sum
}

#[track_caller]
fn check(values: &[&str], expect: &str) {
    let forwards = sum(values.iter().copied());
    assert_eq!(forwards.to_string(), expect);
    assert_eq!(sum(values.iter().rev().copied()), forwards, "the order does not matter");
    assert_eq!(Sum::parse(expect), Some(forwards), "written and read again");
    assert_eq!(serde_json::to_string(&forwards).unwrap(), format!("\"{expect}\""));
}

#[test]
fn a_sum_is_written_plainly_with_the_largest_scale_of_its_addends() {
    check(&[], "0");
    check(&["12.50", "1"], "13.50");
    check(&["12.50", "12.5"], "25.00");
    check(&["0.00"], "0.00");
    check(&["0", "0.0"], "0.0");
    check(&["0.5", "0.5"], "1.0");
    check(&["0.005"], "0.005");
    check(&["1.25e3", "1e-3"], "1250.001");
    check(&["99.9", "0.1"], "100.0");
    check(&["0e-28"], "0.0000000000000000000000000000");
    check(&["1e27", "1e-28"], "1000000000000000000000000000.0000000000000000000000000001");
    check(&["9999999999999999999999999999"; 2], "19999999999999999999999999998");
    check(&["0.9999999999999999999999999999", "0.0000000000000000000000000001"], "1.0000000000000000000000000000");
}

#[test]
fn a_sum_far_beyond_one_value_is_exact() {
    let nines = vec!["9999999999999999999999999999"; 10_000];
    check(&nines, "99999999999999999999999999990000");
    let with_a_grain = [nines.as_slice(), &["1e-28"]].concat();
    check(&with_a_grain, "99999999999999999999999999990000.0000000000000000000000000001");
}

#[test]
fn the_bound_is_that_of_2_to_the_64_values() {
    let ten = U256::new(10);
    assert_eq!(BOUND_AT_SCALE_28, U256::new(1 << 64) * ten.pow(56));
    // As many of the largest value as can be counted, at the largest scale, are within it, and one bit more as well.
    let largest = Sum { digits: U256::new(10_u128.pow(28) - 1) * U256::from(u64::MAX), scale: 0 };
    let mut all = largest;
    all.add(value("0e-28"));
    assert!(all.digits < BOUND_AT_SCALE_28);
    assert_eq!(all.to_string(), format!("184467440737095516149999999981553255926290448385.{}", "0".repeat(28)));
    assert_eq!(Sum::parse(&all.to_string()), Some(all));
    all.merge(all);
    assert!(all.digits > BOUND_AT_SCALE_28, "did not wrap");
}

#[track_caller]
fn check_net(positive: &str, negative: &str, expect: &str) {
    let (a, b) = (Sum::parse(positive).unwrap(), Sum::parse(negative).unwrap());
    assert_eq!(a.minus(b).to_string(), expect, "{positive} - {negative}");
    assert_eq!(serde_json::to_string(&a.minus(b)).unwrap(), format!("\"{expect}\""));
    let other_way = b.minus(a).to_string();
    assert_eq!(other_way.strip_prefix('-').unwrap_or(&other_way), expect.strip_prefix('-').unwrap_or(expect));
}

#[test]
fn a_net_has_the_larger_scale_and_zero_has_no_sign() {
    check_net("31", "4", "27");
    check_net("4", "31", "-27");
    check_net("0", "0", "0");
    check_net("5", "5.00", "0.00");
    check_net("5.00", "5", "0.00");
    check_net("0", "0.000", "0.000");
    check_net("0", "0.001", "-0.001");
    check_net("12.50", "1", "11.50");
    check_net("1", "12.50", "-11.50");
    check_net("10", "9.99", "0.01");
    check_net("0.1", "0.0000000000000000000000000001", "0.0999999999999999999999999999");
    check_net("0", "99999999999999999999999999990000.1", "-99999999999999999999999999990000.1");
}

#[test]
fn only_what_a_sum_is_written_as_is_read() {
    for text in [
        "",
        ".",
        "-",
        "-0",
        "-1",
        "+1",
        "1.",
        ".1",
        "01",
        "00",
        "00.1",
        "1.2.3",
        "1,5",
        "1 ",
        " 1",
        "1e3",
        "1_0",
        "NaN",
        "0x1",
        "１",
        "1.１",
        "٣",
        "1.\0",
        "0.00000000000000000000000000001",
    ] {
        assert_eq!(Sum::parse(text), None, "{text:?}");
    }
    for text in ["0", "0.0", "0.1", "10", "10.01", "9.9999999999999999999999999999", "0.0000000000000000000000000000"] {
        assert_eq!(Sum::parse(text).map(|sum| sum.to_string()).as_deref(), Some(text));
    }
}

#[test]
fn what_no_values_sum_up_to_is_not_read() {
    let bound = "184467440737095516160000000000000000000000000000";
    assert_eq!(Sum::parse(bound).map(|sum| sum.digits_at(28)), Some(BOUND_AT_SCALE_28));
    assert!(Sum::parse(&format!("{bound}.{}", "0".repeat(28))).is_some());
    assert_eq!(Sum::parse(&format!("{bound}.{}1", "0".repeat(27))), None);
    assert_eq!(Sum::parse("184467440737095516160000000000000000000000000001"), None);
    assert_eq!(Sum::parse(&"9".repeat(48)), None);
    assert_eq!(Sum::parse(&format!("{}.{}", "9".repeat(48), "9".repeat(28))), None);
    assert_eq!(Sum::parse(&"9".repeat(1_000_000)), None);
    assert_eq!(Sum::parse(&format!("1.{}", "0".repeat(1_000_000))), None);
    assert!(Sum::parse(&"9".repeat(47)).is_some());
}

#[test]
fn a_sum_can_be_told_from_one_of_too_many_values() {
    let can_be = |text: &str, count| Sum::parse(text).unwrap().can_be_of(count);
    assert!(can_be("0", 0) && can_be("0", 1) && can_be("0.00", 1));
    assert!(!can_be("0.00", 0) && !can_be("1", 0));
    assert!(can_be("9999999999999999999999999999", 1) && !can_be("10000000000000000000000000000", 1));
    assert!(can_be("19999999999999999999999999998", 2) && !can_be("19999999999999999999999999998.1", 2));
    assert!(
        can_be("184467440737095516149999999981553255926290448385", u64::MAX)
            && !can_be("184467440737095516149999999981553255926290448386", u64::MAX)
    );
}

/// A decimal on paper: columns from the last of 28 places upwards, and how many places were written.
#[derive(Clone, PartialEq, Eq)]
struct Paper {
    columns: Vec<u8>,
    places: usize,
}

impl Paper {
    fn of(text: &str) -> Self {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let columns = format!("{whole:0>100}{fraction:0<28}").bytes().rev().map(|b| b - b'0').collect();
        Self { columns, places: fraction.len() }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut carry = 0;
        let columns = self.columns.iter().zip(&other.columns).map(|(a, b)| {
            let column = a + b + carry;
            carry = column / 10;
            column % 10
        });
        Self { columns: columns.collect(), places: self.places.max(other.places) }
    }

    /// Takes away what is not larger.
    fn less(&self, other: &Self) -> Self {
        let mut borrow = 0;
        let columns = self.columns.iter().zip(&other.columns).map(|(a, b)| {
            let column = 10 + a - b - borrow;
            borrow = u8::from(column < 10);
            column % 10
        });
        Self { columns: columns.collect(), places: self.places.max(other.places) }
    }

    fn is_less_than(&self, other: &Self) -> bool {
        self.columns.iter().rev().lt(other.columns.iter().rev())
    }

    fn write(&self) -> String {
        let text: String = self.columns.iter().rev().map(|d| char::from(b'0' + d)).collect();
        let (whole, fraction) = text.split_at(100);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        if self.places == 0 { whole.to_owned() } else { format!("{whole}.{}", &fraction[..self.places]) }
    }
}

fn on_paper(values: &[Value]) -> Paper {
    values.iter().fold(Paper::of("0"), |paper, value| paper.plus(&Paper::of(&value.to_string())))
}

fn added(values: &[Value]) -> Sum {
    let mut sum = Sum::ZERO;
    values.iter().for_each(|value| sum.add(*value));
    sum
}

fn any_values() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(any_value(), 0..40)
}

proptest! {
    #[test]
    fn a_sum_is_that_on_paper(values in any_values()) {
        let sum = added(&values);
        prop_assert_eq!(sum.to_string(), on_paper(&values).write());
        prop_assert_eq!(Sum::parse(&sum.to_string()), Some(sum));
        prop_assert!(sum.can_be_of(values.len() as u64));
    }

    #[test]
    fn merging_sums_is_adding_their_values(a in any_values(), b in any_values()) {
        let mut merged = added(&a);
        merged.merge(added(&b));
        prop_assert_eq!(merged, added(&[a, b].concat()));
    }

    #[test]
    fn a_net_is_that_on_paper(a in any_values(), b in any_values()) {
        let (paper_a, paper_b) = (on_paper(&a), on_paper(&b));
        let expect = if paper_a.is_less_than(&paper_b) {
            format!("-{}", paper_b.less(&paper_a).write())
        } else {
            paper_a.less(&paper_b).write()
        };
        prop_assert_eq!(added(&a).minus(added(&b)).to_string(), expect);
    }

    #[test]
    fn a_sum_less_itself_is_zero_without_a_sign(values in any_values()) {
        let net = added(&values).minus(added(&values)).to_string();
        prop_assert!(net.bytes().all(|b| matches!(b, b'0' | b'.')), "{}", net);
    }

    #[test]
    fn no_text_panics(text in "[0-9.]{0,90}") {
        if let Some(sum) = Sum::parse(&text) {
            prop_assert_eq!(sum.to_string(), text);
        }
    }
}
