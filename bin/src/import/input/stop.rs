//! Why a reader ended before the end of its file: cancelled, or a fault in the file.

/// Why a reader ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The records are no longer wanted.
    Cancelled,
    /// The file can't be read beyond this line, for this reason.
    Fault(u64, String),
}
