//! Exact sums of any number of values: adding never rounds, wraps or panics.

use std::cmp::Ordering;
use std::fmt;

use ethnum::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::parsed::parsed;
use crate::record::value::Value;

/// Most decimal places, of a value and so of a sum.
const SCALE_MAX: u8 = 28;

/// The largest possible sum: 2^64 values of 28 digits before the point, with 28 places after it. It is below 2^256, so
/// that no sum of [`Value`]s overflows.
const BOUND_AT_SCALE_28: U256 = U256::from_words(0x0414_0c78_940f_6a24_fdff_c788_73d4_490d, 0x21 << 120);

/// The exact sum of values of one unit and type, with the largest scale among its addends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    digits: U256,
    scale: u8,
}

/// The difference of two sums: has a sign, and the larger scale of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    negative: bool,
    size: Sum,
}

impl Sum {
    /// The sum of nothing: `0`.
    pub const ZERO: Self = Self { digits: U256::ZERO, scale: 0 };

    /// Adds one value, exactly.
    pub fn add(&mut self, value: Value) {
        let (digits, scale) = value.parts();
        // A value's scale is at most 28.
        self.add_parts(U256::new(digits), u8::try_from(scale).unwrap_or(u8::MAX));
    }

    /// Adds another sum, exactly.
    pub fn merge(&mut self, other: Self) {
        self.add_parts(other.digits, other.scale);
    }

    /// Subtracts another sum.
    #[must_use]
    pub fn minus(self, other: Self) -> Net {
        let scale = self.scale.max(other.scale);
        let (a, b) = (self.digits_at(scale), other.digits_at(scale));
        let (negative, digits) = match a.cmp(&b) {
            Ordering::Less => (true, b - a),
            Ordering::Equal | Ordering::Greater => (false, a - b),
        };
        Net { negative, size: Self { digits, scale } }
    }

    /// Reads the output of `Display`; `None` for any other text, and for a sum that no values can have.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let only_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let plain =
            !whole.is_empty() && (whole == "0" || !whole.starts_with('0')) && text.contains('.') != fraction.is_empty();
        // 2^64 · 10^28 has 48 digits before the point. Both limits keep the arithmetic below within 256 bits.
        if !plain || !only_digits(whole) || !only_digits(fraction) || fraction.len() > 28 || whole.len() > 48 {
            return None;
        }
        let scale = u8::try_from(fraction.len()).ok()?;
        let sum = Self { digits: read_digits(whole)? * pow10(scale) + read_digits(fraction)?, scale };
        (sum.digits_at(SCALE_MAX) <= BOUND_AT_SCALE_28).then_some(sum)
    }

    /// Says whether `count` values can have this sum.
    pub(crate) fn can_be_of(&self, count: u64) -> bool {
        // 10^28 − 1 is the largest value, and 28 its largest scale.
        let largest = U256::new(10_u128.pow(28) - 1) * pow10(SCALE_MAX);
        self.digits_at(SCALE_MAX) <= U256::from(count) * largest && (count > 0 || self.scale == 0)
    }

    fn add_parts(&mut self, digits: U256, scale: u8) {
        let common = self.scale.max(scale);
        let addend = Self { digits, scale }.digits_at(common);
        *self = Self { digits: self.digits_at(common) + addend, scale: common };
    }

    fn digits_at(&self, scale: u8) -> U256 {
        match scale - self.scale {
            0 => self.digits,
            more => self.digits * pow10(more),
        }
    }
}

impl Net {
    /// Says whether it is strictly above a value, compared as numbers.
    #[must_use]
    pub fn is_above(&self, value: Value) -> bool {
        let mut other = Sum::ZERO;
        other.add(value);
        let scale = self.size.scale.max(other.scale);
        !self.negative && self.size.digits_at(scale) > other.digits_at(scale)
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        // Nearly every sum fits 128 bits, which are printed much faster.
        let digits = u128::try_from(self.digits).map_or_else(|_| self.digits.to_string(), |small| small.to_string());
        if scale == 0 {
            return f.write_str(&digits);
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `minus` sets the sign only if the difference is not zero, so there is no "-0".
        if self.negative {
            f.write_str("-")?;
        }
        fmt::Display::fmt(&self.size, f)
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |text| Self::parse(text).ok_or("must be a sum as it is written"))
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns 10 to the power of at most [`SCALE_MAX`], which 128 bits hold.
fn pow10(exponent: u8) -> U256 {
    U256::new(10_u128.pow(u32::from(exponent)))
}

/// Reads up to 48 ASCII digits, in pieces that 128 bits hold; an empty text is 0.
fn read_digits(digits: &str) -> Option<U256> {
    let (high, low) = digits.split_at(digits.len().saturating_sub(usize::from(SCALE_MAX)));
    let piece = |piece: &str| if piece.is_empty() { Some(0) } else { piece.parse::<u128>().ok() };
    Some(U256::new(piece(high)?) * pow10(SCALE_MAX) + U256::new(piece(low)?))
}

#[cfg(test)]
mod tests;
