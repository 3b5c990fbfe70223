//! One exact decimal value: never through a float, never rounded.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::parsed::parsed;

/// A value without a sign, of at most 28 digits from the first that is not zero, and at most 28 decimal places.
///
/// Equality and order are those of numbers (`12.50 == 12.5`); the scale is kept for writing it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Decimal);

/// Says why a text is not a [`Value`]; its `Display` may be shown to the sender of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The text is not a JSON number.
    #[error("must be a decimal such as 12, 12.50 or 1.25e3, as a JSON number or as a string of the same form")]
    Grammar,
    /// The text has a minus sign.
    #[error("must have no minus sign; the sign is the field \"type\"")]
    Negative,
    /// The value can't be held exactly.
    #[error("must have at most 28 digits when written out plainly")]
    TooManyDigits,
    /// The value can't be held exactly.
    #[error("must have at most 28 decimal places when written out plainly")]
    TooManyPlaces,
}

impl Value {
    /// Most digits, from the first that is not zero to the last written.
    pub const DIGITS_MAX: i64 = 28;
    /// Most decimal places.
    pub const PLACES_MAX: i64 = 28;

    /// Reads a decimal in the grammar of a JSON number (RFC 8259, section 6) without a minus sign, keeping its scale:
    /// `12.50` has two places, `1.25e3` is 1250.
    ///
    /// # Errors
    /// Says what is wrong with the text; a value that would have to be rounded is refused.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let plain = Plain::scan(text)?;
        let scale = plain.places.saturating_sub(plain.exponent);
        if scale > Self::PLACES_MAX {
            return Err(ValueError::TooManyPlaces);
        }
        if plain.digits_len == 0 {
            return Ok(Self::from_digits(0, scale.max(0)));
        }
        let zeros = scale.min(0).saturating_neg();
        if plain.digits_len.saturating_add(zeros) > Self::DIGITS_MAX {
            return Err(ValueError::TooManyDigits);
        }
        let shift = 10_i128.pow(u32::try_from(zeros).unwrap_or_default());
        Ok(Self::from_digits(plain.digits * shift, scale.max(0)))
    }

    /// Returns the value as a `Decimal` with the scale that it came with.
    #[must_use]
    pub fn as_decimal(self) -> Decimal {
        self.0
    }

    /// Returns the digits as a whole number, and the decimal places.
    #[must_use]
    pub fn parts(self) -> (u128, u32) {
        (self.0.mantissa().unsigned_abs(), self.0.scale())
    }

    fn from_digits(digits: i128, scale: i64) -> Self {
        let scale = u32::try_from(scale).unwrap_or_default();
        // 28 digits are below 2^96 and the scale is at most 28, the two limits of `Decimal`.
        Self(Decimal::try_from_i128_with_scale(digits, scale).expect("28 digits and 28 places fit a Decimal"))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, Self::parse)
    }
}

/// A number taken apart: `digits` × 10^(`exponent` − `places`).
struct Plain {
    digits: i128,
    /// How many digits there are from the first that is not zero.
    digits_len: i64,
    places: i64,
    exponent: i64,
}

impl Plain {
    fn scan(text: &str) -> Result<Self, ValueError> {
        match text.strip_prefix('-') {
            None => Self::scan_unsigned(text),
            // Only a number without other faults is blamed for its sign.
            Some(rest) => Self::scan_unsigned(rest).and(Err(ValueError::Negative)),
        }
    }

    fn scan_unsigned(text: &str) -> Result<Self, ValueError> {
        let bytes = text.as_bytes();
        let mut plain = Self { digits: 0, digits_len: 0, places: 0, exponent: 0 };
        let (whole, mut rest) = split_digits(bytes);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return Err(ValueError::Grammar);
        }
        plain.push(whole);
        if let Some(after) = rest.strip_prefix(b".") {
            let (fraction, after) = split_digits(after);
            if fraction.is_empty() {
                return Err(ValueError::Grammar);
            }
            plain.push(fraction);
            plain.places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
            rest = after;
        }
        if let [b'e' | b'E', after @ ..] = rest {
            let (negative, after) = match after {
                [b'-', after @ ..] => (true, after),
                [b'+', after @ ..] => (false, after),
                after => (false, after),
            };
            let (exponent, after) = split_digits(after);
            if exponent.is_empty() {
                return Err(ValueError::Grammar);
            }
            let exponent = exponent.iter().fold(0_i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')));
            plain.exponent = if negative { -exponent } else { exponent };
            rest = after;
        }
        if rest.is_empty() { Ok(plain) } else { Err(ValueError::Grammar) }
    }

    fn push(&mut self, digits: &[u8]) {
        for digit in digits {
            let digit = i128::from(digit - b'0');
            if self.digits_len > 0 || digit > 0 {
                self.digits_len += 1;
                if self.digits_len <= Value::DIGITS_MAX {
                    self.digits = self.digits * 10 + digit;
                }
            }
        }
    }
}

fn split_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|b| b.is_ascii_digit()).count())
}

#[cfg(test)]
mod tests;
