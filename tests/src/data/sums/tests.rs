//! The pen-and-paper arithmetic against sums done by head.

use super::Paper;

#[track_caller]
fn check(a: &str, b: &str, sum: &str, difference: &str) {
    let (a, b) = (Paper::read(a), Paper::read(b));
    let mut both = a.clone();
    both.add(&b);
    assert_eq!(both.to_string(), sum);
    assert_eq!(a.minus(&b).to_string(), difference);
}

#[test]
fn it_adds_and_subtracts_as_one_does_by_head() {
    check("0", "0", "0", "0");
    check("1", "2", "3", "-1");
    check("12.50", "1", "13.50", "11.50");
    check("1", "12.50", "13.50", "-11.50");
    check("0.1", "0.1", "0.2", "0.0");
    check("9999999999999999999999", "1", "10000000000000000000000", "9999999999999999999998");
    check("1000", "0.001", "1000.001", "999.999");
}
