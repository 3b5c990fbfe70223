//! Sums are those of a library for decimals of any size, in whatever order they are added.

use bigdecimal::{BigDecimal, Zero as _};
use tallyhouse_pipeline::{Sum, Value};

use crate::tail::Tail;

/// Checks values, one a line. The last bytes say where the line is that parts those added from those taken away, and
/// how they are gathered.
pub fn check(data: &[u8]) {
    let mut tail = Tail::new(data);
    let (parting, stride) = (tail.below(64), 1 + tail.below(8));
    let lines = tail.rest().split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let values: Vec<Value> = lines.filter_map(|line| Value::parse(line).ok()).collect();
    let (added, taken) = values.split_at(parting.min(values.len()));
    let (plus, minus) = (sum_of(added, stride), sum_of(taken, stride));
    let (exact_plus, exact_minus) = (exact(added), exact(taken));
    assert_eq!(plus.to_string(), written(&exact_plus, added));
    assert_eq!(minus.to_string(), written(&exact_minus, taken));

    let (net, difference) = (plus.minus(minus).to_string(), exact_plus - exact_minus);
    let sign = if difference < BigDecimal::zero() { "-" } else { "" };
    assert_eq!(net, format!("{sign}{}", written(&difference.abs(), &values)));
}

/// Sums values up one by one, or in so many parts.
fn sum_of(values: &[Value], stride: usize) -> Sum {
    let mut whole = Sum::ZERO;
    values.iter().for_each(|value| whole.add(*value));
    let mut gathered = Sum::default();
    for first in 0..stride {
        let mut part = Sum::ZERO;
        values.iter().skip(first).step_by(stride).for_each(|value| part.add(*value));
        gathered.merge(part);
    }
    assert_eq!(gathered, whole, "the order makes no difference");
    assert_eq!(Sum::parse(&whole.to_string()), Some(whole), "what is written is read again");
    whole
}

fn exact(values: &[Value]) -> BigDecimal {
    values.iter().map(|value| value.to_string().parse::<BigDecimal>().expect("a value is a decimal")).sum()
}

/// Writes a sum with the largest scale among these values.
fn written(sum: &BigDecimal, values: &[Value]) -> String {
    let scale = values.iter().map(|value| value.parts().1).max().unwrap_or_default();
    sum.with_scale(scale.into()).to_plain_string()
}
