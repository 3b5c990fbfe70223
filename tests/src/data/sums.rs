//! Decimal arithmetic as it is done with pen and paper: slow, of any size, and independent of the code that is tested.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

/// A decimal number of any size. Its scale is the largest that was ever added to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paper {
    negative: bool,
    /// Digits of the number without its point, the last one first.
    digits: Vec<u8>,
    scale: usize,
}

impl Paper {
    /// Reads a number written out plainly: digits, and perhaps a point with digits.
    ///
    /// # Panics
    /// It is written otherwise.
    #[must_use]
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { panic!("not a plain number: {text}") };
        let digits = whole.bytes().chain(fraction.bytes()).rev().map(digit).collect();
        Self { negative: false, digits, scale: fraction.len() }
    }

    /// Adds a number that is not negative to one that is not.
    pub fn add(&mut self, other: &Self) {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.at_scale(scale), other.at_scale(scale));
        let mut carry = 0;
        let mut digits = Vec::new();
        for i in 0..a.len().max(b.len()) {
            let sum = a.get(i).unwrap_or(&0) + b.get(i).unwrap_or(&0) + carry;
            digits.push(sum % 10);
            carry = sum / 10;
        }
        digits.push(carry);
        *self = Self { negative: false, digits, scale };
    }

    /// Takes a number that is not negative from one that is not.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let scale = self.scale.max(other.scale);
        let (mut a, mut b) = (self.at_scale(scale), other.at_scale(scale));
        let length = a.len().max(b.len());
        a.resize(length, 0);
        b.resize(length, 0);
        let negative = a.iter().rev().cmp(b.iter().rev()) == Ordering::Less;
        if negative {
            std::mem::swap(&mut a, &mut b);
        }
        let mut borrowed = 0;
        let mut digits = Vec::new();
        for (a, b) in a.iter().zip(&b) {
            let take = b + borrowed;
            borrowed = u8::from(take > *a);
            digits.push(a + 10 * borrowed - take);
        }
        Self { negative, digits, scale }
    }

    fn at_scale(&self, scale: usize) -> Vec<u8> {
        let mut digits = vec![0; scale - self.scale];
        digits.extend(&self.digits);
        digits
    }
}

impl fmt::Display for Paper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = self.digits.clone();
        while digits.len() > self.scale + 1 && digits.last() == Some(&0) {
            digits.pop();
        }
        digits.resize(digits.len().max(self.scale + 1), 0);
        let text: String = digits.iter().rev().map(|d| char::from(d + b'0')).collect();
        let (whole, fraction) = text.split_at(text.len() - self.scale);
        let sign = if self.negative { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

/// The summary of some records, as the service should compute it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// By unit: how many, and their sum; first of the positive ones, then of the negative ones.
    units: BTreeMap<String, [(u64, Paper); 2]>,
    count: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Ledger {
    /// Adds one record: JSON as it is sent, its value written out plainly, its time in UTC without a fraction.
    ///
    /// # Panics
    /// It is no such record.
    pub fn add(&mut self, record: &Value) {
        let text = |field: &str| record[field].as_str().expect("every field is a string").to_owned();
        let side = usize::from(record["type"] == "negative");
        let (count, sum) = &mut self.units.entry(text("unit")).or_default()[side];
        *count += 1;
        sum.add(&Paper::read(&text("value")));
        self.count += 1;
        let time = text("time");
        self.first = Some(self.first.take().map_or_else(|| time.clone(), |first| first.min(time.clone())));
        self.last = Some(self.last.take().map_or_else(|| time.clone(), |last| last.max(time.clone())));
    }

    /// Returns the summary as the service writes it.
    #[must_use]
    pub fn summary(&self) -> Value {
        let total = |(unit, [(plus, gained), (minus, lost)]): (&String, &[(u64, Paper); 2])| {
            json!({"unit": unit, "count": plus + minus, "positive": {"count": plus, "sum": gained.to_string()},
                   "negative": {"count": minus, "sum": lost.to_string()}, "net": gained.minus(lost).to_string()})
        };
        json!({"count": self.count, "firstTime": self.first, "lastTime": self.last,
               "totals": self.units.iter().map(total).collect::<Vec<_>>()})
    }
}

/// Computes the summary of records; see [`Ledger::add`] for their form.
///
/// # Panics
/// A record is not one.
#[must_use]
pub fn summary<'a>(records: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut ledger = Ledger::default();
    records.into_iter().for_each(|record| ledger.add(record));
    ledger.summary()
}

#[cfg(test)]
mod tests;
