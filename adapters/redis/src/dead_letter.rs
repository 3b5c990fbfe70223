//! The stream entry of a dead letter: written and parsed.

use std::borrow::Cow;

use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::{DeadLetter, DeadLetterReason};

use crate::entry::Entry;

/// A dead letter that is not written yet.
pub(crate) struct DeadLetterDraft {
    pub(crate) payload: Vec<u8>,
    pub(crate) reason: DeadLetterReason,
    pub(crate) detail: String,
    pub(crate) origin: &'static str,
    pub(crate) at: Timestamp,
}

impl DeadLetterDraft {
    /// Returns the entry's fields. The scripts take the values in this order.
    pub(crate) fn fields(&self) -> [(&'static str, Cow<'_, [u8]>); 5] {
        [
            ("payload", Cow::Borrowed(&self.payload)),
            ("reason", Cow::Borrowed(self.reason.name().as_bytes())),
            ("detail", Cow::Borrowed(self.detail.as_bytes())),
            ("origin", Cow::Borrowed(self.origin.as_bytes())),
            ("at", Cow::Owned(self.at.to_string().into_bytes())),
        ]
    }
}

/// Reads an entry. A field that is missing, in an entry of another program, is empty. The time in the entry's id
/// replaces a missing or invalid time.
pub(crate) fn dead_letter(mut entry: Entry) -> DeadLetter {
    let mut text =
        |name| entry.take(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let (reason, detail, origin, at) = (text("reason"), text("detail"), text("origin"), text("at"));
    let at = Timestamp::parse(&at).unwrap_or_else(|_| time_of(&entry.id)).to_string();
    let payload = entry.take("payload").unwrap_or_default();
    DeadLetter { id: entry.id, payload, reason, detail, origin, at }
}

/// Returns the time in the id of an entry: milliseconds since 1970 before the hyphen, which a program may choose, too.
fn time_of(id: &str) -> Timestamp {
    let millis = id.split('-').next().and_then(|millis| millis.parse::<i64>().ok());
    millis.and_then(|millis| Timestamp::from_micros(millis.checked_mul(1_000)?)).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
