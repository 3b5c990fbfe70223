//! A refused payload, as the entry of a stream that it becomes, and read from one.

use std::borrow::Cow;

use tallyhouse_core::Timestamp;
use tallyhouse_core::ports::{DeadLetter, DeadLetterReason};

use crate::entry::Entry;

/// A dead letter to be.
pub(crate) struct Refusal {
    pub(crate) payload: Vec<u8>,
    pub(crate) reason: DeadLetterReason,
    pub(crate) detail: String,
    pub(crate) origin: &'static str,
    pub(crate) at: Timestamp,
}

impl Refusal {
    /// Returns the fields of the entry: their names, and their values in the order in which the scripts take them.
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

/// Reads an entry; what another program left out of it is empty.
pub(crate) fn dead_letter(mut entry: Entry) -> DeadLetter {
    let mut text =
        |name| entry.take(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let (reason, detail, origin, at) = (text("reason"), text("detail"), text("origin"), text("at"));
    let payload = entry.take("payload").unwrap_or_default();
    DeadLetter { id: entry.id, payload, reason, detail, origin, at }
}
