//! Payloads above the size limit, of which a script returned only the beginning and a digest.

use std::fmt::Display;

use tallyhouse_core::ports::PAYLOAD_BYTES_MAX;
use tallyhouse_core::{Rejection, RejectionCode};

/// The bytes that are kept of an oversized payload. One byte more than the limit: a part must never pass as a record.
pub(crate) const KEPT_BYTES: usize = PAYLOAD_BYTES_MAX + 1;

/// The bytes of which the scripts compute the SHA-1 (`digest.lua`).
const DIGEST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The size of a payload of which only the beginning was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Oversize {
    /// The length of the whole, in bytes.
    pub(crate) bytes: u64,
    /// The SHA-1 of the whole, or of its first [`DIGEST_BYTES_MAX`], in hexadecimal digits.
    pub(crate) sha1: String,
}

impl Oversize {
    /// Rejects the payload, and says how much of it a dead letter keeps.
    pub(crate) fn rejection(&self, kept: impl Display) -> Rejection {
        let Self { bytes, sha1 } = self;
        let part = if *bytes > DIGEST_BYTES_MAX { " of the first 16 MiB" } else { "" };
        let detail = format!(
            "must be at most {PAYLOAD_BYTES_MAX} bytes long; this has {bytes} bytes (SHA-1{part}: {sha1}), of which {kept} are kept"
        );
        Rejection { code: RejectionCode::TooLarge, ..Rejection::at(None, "", detail) }
    }
}
