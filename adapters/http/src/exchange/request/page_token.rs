//! Page tokens: where a page of records, groups or summaries ended, encoded opaquely.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tallyhouse_pipeline::{DestinationId, RecordId, Reference, Timestamp};

/// The reason for refusing an invalid cursor, or a cursor of another call.
pub(crate) const NOT_A_PAGE_TOKEN: &str = "must be a cursor as it was handed out";

/// The places that cursors stand for. Each kind begins with its own letter, so that one call refuses the cursor of
/// another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageToken {
    Record(Timestamp, RecordId),
    Group(DestinationId),
    Summary(Reference),
}

impl PageToken {
    /// Most characters of a token, in base64: a letter, the 18 characters of a time in microseconds, a dot, and an id
    /// of characters of four bytes.
    pub(crate) const CHARS_MAX: usize = ((20 + RecordId::CHARS_MAX * 4) * 4).div_ceil(3);

    pub(crate) fn write(&self) -> String {
        let plain = match self {
            Self::Record(time, id) => format!("r{}.{id}", time.as_micros()),
            Self::Group(destination) => format!("g{destination}"),
            Self::Summary(reference) => format!("s{reference}"),
        };
        URL_SAFE_NO_PAD.encode(plain)
    }

    pub(crate) fn record(text: &str) -> Result<(Timestamp, RecordId), &'static str> {
        let parse = || {
            let plain = decode(text)?;
            let (micros, id) = plain.strip_prefix('r')?.split_once('.')?;
            Some((Timestamp::from_micros(micros.parse().ok()?)?, RecordId::new(id).ok()?))
        };
        // A number has several spellings; only the canonical one is accepted.
        let as_written = |place: &(Timestamp, RecordId)| Self::Record(place.0, place.1.clone()).write() == text;
        parse().filter(as_written).ok_or(NOT_A_PAGE_TOKEN)
    }

    pub(crate) fn group(text: &str) -> Result<DestinationId, &'static str> {
        let parse = || DestinationId::new(decode(text)?.strip_prefix('g')?).ok();
        parse().ok_or(NOT_A_PAGE_TOKEN)
    }

    pub(crate) fn summary(text: &str) -> Result<Reference, &'static str> {
        let parse = || Reference::new(decode(text)?.strip_prefix('s')?).ok();
        parse().ok_or(NOT_A_PAGE_TOKEN)
    }
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
