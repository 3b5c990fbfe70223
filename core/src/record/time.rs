//! Instants to the microsecond, read from and written as RFC 3339.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::record::parsed::parsed;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// An instant in UTC, to the microsecond, in the years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Says why a text is not a [`Timestamp`]; its `Display` may be shown to the sender of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The text does not follow RFC 3339, or names a day or a second that does not exist.
    #[error("must be an RFC 3339 date-time with an offset, such as 2013-01-01T10:00:00Z")]
    NotRfc3339,
    /// The second is 60: a leap second has no place on the scale that databases keep.
    #[error("must not be a leap second (second 60)")]
    LeapSecond,
    /// The year, after conversion to UTC, is not 0001 to 9999.
    #[error("must be in the years 0001 to 9999 in UTC")]
    OutOfRange,
}

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800 * MICROS_PER_SECOND);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_800 * MICROS_PER_SECOND - 1);

    /// Reads RFC 3339 with an offset (section 5.6 of the RFC: `T` and `Z` in either case); digits finer than a
    /// microsecond are dropped.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let (micros, _finer) = parse_micros(text)?;
        Self::from_micros(micros).ok_or(TimestampError::OutOfRange)
    }

    /// Reads a bound of a query as [`Timestamp::parse`] does, but rounds digits finer than a microsecond up, so that
    /// `time >= bound` and `time < bound` hold exactly. Only a bound may lie one microsecond after [`Timestamp::MAX`].
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse_bound(text: &str) -> Result<Self, TimestampError> {
        let (micros, finer) = parse_micros(text)?;
        let floor = Self::from_micros(micros).ok_or(TimestampError::OutOfRange)?;
        Ok(Self(floor.0 + i64::from(finer)))
    }

    /// Takes microseconds since 1970-01-01T00:00:00Z; `None` outside the years 0001 to 9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Returns the microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns the instant as a `DateTime` of chrono.
    #[must_use]
    pub fn to_chrono(self) -> DateTime<chrono::Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl<Tz: chrono::TimeZone> TryFrom<DateTime<Tz>> for Timestamp {
    type Error = TimestampError;

    fn try_from(at: DateTime<Tz>) -> Result<Self, TimestampError> {
        Self::from_micros(at.timestamp_micros()).ok_or(TimestampError::OutOfRange)
    }
}

impl fmt::Display for Timestamp {
    /// Writes `…Z` with no fraction, or with six digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.to_chrono();
        let (date, time) = (at.date_naive(), at.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        match self.0.rem_euclid(MICROS_PER_SECOND) {
            0 => f.write_str("Z"),
            fraction => write!(f, ".{fraction:06}Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, Self::parse)
    }
}

/// Reads the text into microseconds since 1970, and says whether finer digits other than zero were dropped.
fn parse_micros(text: &str) -> Result<(i64, bool), TimestampError> {
    let b = text.as_bytes();
    let bad = TimestampError::NotRfc3339;
    // Shortest: 2013-01-01T10:00:00Z
    if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || b[13] != b':' || b[16] != b':' || !matches!(b[10], b'T' | b't') {
        return Err(bad);
    }
    let two = |at: usize| digits(b.get(at..at + 2).unwrap_or_default()).ok_or(bad);
    let year = digits(&b[0..4]).ok_or(bad)?;
    let (month, day, hour, minute, second) = (two(5)?, two(8)?, two(11)?, two(14)?, two(17)?);

    let mut rest = &b[19..];
    let (mut fraction, mut finer) = (0_i64, false);
    if let Some(after) = rest.strip_prefix(b".") {
        let len = after.iter().take_while(|b| b.is_ascii_digit()).count();
        if len == 0 {
            return Err(bad);
        }
        for place in 0..6 {
            fraction = fraction * 10 + after[..len].get(place).map_or(0, |d| i64::from(d - b'0'));
        }
        finer = after[..len].iter().skip(6).any(|d| *d != b'0');
        rest = &after[len..];
    }
    let offset_seconds = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2]).ok_or(bad)?, digits(&[*m1, *m2]).ok_or(bad)?);
            if hours > 23 || minutes > 59 {
                return Err(bad);
            }
            let seconds = i64::from(hours * 3600 + minutes * 60);
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return Err(bad),
    };
    if second == 60 {
        return Err(TimestampError::LeapSecond);
    }
    // chrono's proleptic Gregorian calendar has a year 0, which an offset may move into year 1.
    let year = i32::try_from(year).map_err(|_| bad)?;
    let at =
        NaiveDate::from_ymd_opt(year, month, day).and_then(|date| date.and_hms_opt(hour, minute, second)).ok_or(bad)?;
    let seconds = at.and_utc().timestamp() - offset_seconds;
    Ok((seconds * MICROS_PER_SECOND + fraction, finer))
}

/// Reads a number of ASCII digits only: `str::parse` would take a sign.
fn digits(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(bytes.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
}

#[cfg(test)]
mod tests;
