//! Cursors: the position of a reader in a topic, with a fingerprint of the record at it.
//!
//! A database that is restored from a backup may lack its latest records, and later records then reuse their positions.
//! So a cursor names a position and a fingerprint of the record at it: a reader that returns with a cursor of the lost
//! history gets an error, instead of silently skipping records.

use std::fmt;
use std::str::FromStr;

use crate::outcome::StoredRecord;

/// A place in a topic: a position, and the fingerprint of the record at it. Clients see an opaque text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The position.
    pub position: Position,
    /// The fingerprint of the record at the position; `None` in cursors of earlier versions, which had no fingerprints,
    /// and at the start, where there is no record.
    pub fingerprint: Option<Fingerprint>,
}

impl Cursor {
    /// Before every message.
    pub const START: Self = Self { position: Position::START, fingerprint: None };

    /// Makes the cursor of a message at this position, which belongs to this record.
    #[must_use]
    pub fn at(position: Position, stored: &StoredRecord) -> Self {
        Self { position, fingerprint: Some(Fingerprint::of(stored)) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position.fmt(f)?;
        match self.fingerprint {
            Some(fingerprint) => write!(f, "~{fingerprint}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (position, fingerprint) = match text.split_once('~') {
            Some((position, fingerprint)) => (position, Some(fingerprint.parse()?)),
            None => (text, None),
        };
        Ok(Self { position: position.parse()?, fingerprint })
    }
}

/// A place in a topic: the position of the record, and which of its messages. Positions follow the order of commits.
/// They are opaque to clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The record's position: 1, 2, 3 … in the order of commits.
    pub record: u64,
    /// The number of the rule among those that the record met; 0 for a notification.
    pub part: u32,
}

impl Position {
    /// Before every message.
    pub const START: Self = Self { record: 0, part: 0 };

    /// Returns the place after every message of the record at this position.
    #[must_use]
    pub fn after_record(record: u64) -> Self {
        Self { record, part: u32::MAX }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            0 => write!(f, "{}", self.record),
            part => write!(f, "{}-{part}", self.record),
        }
    }
}

impl FromStr for Position {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (record, part) = text.split_once('-').unwrap_or((text, "0"));
        // `parse` alone would take a plus sign.
        if !record.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(CursorError);
        }
        let record: u64 = record.parse().map_err(|_| CursorError)?;
        // Databases count up to the largest signed number of 64 bits.
        if i64::try_from(record).is_err() {
            return Err(CursorError);
        }
        Ok(Self { record, part: part.parse().map_err(|_| CursorError)? })
    }
}

/// The text is not a cursor that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a position as it was handed out")]
pub struct CursorError;

/// Distinguishes the records that different histories may have at one position: 64 bits of FNV-1a (RFC 9923) over the
/// record's id and the time of its processing. Two records share a fingerprint by chance with a probability of 1 in
/// 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    /// Returns the fingerprint of a stored record.
    #[must_use]
    pub fn of(stored: &StoredRecord) -> Self {
        let processed_at = stored.processed.processed_at.as_micros().to_be_bytes();
        let bytes = stored.processed.record.record_id.as_str().bytes().chain(processed_at);
        Self(bytes.fold(Self::OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(Self::PRIME)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex {
            return Err(CursorError);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| CursorError)
    }
}

#[cfg(test)]
mod tests;
