//! The reason why a reader of one form ended before the end of its file.

/// Why a reader ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The records are no longer wanted.
    Cancelled,
    /// The file can't be read further than this line, and why.
    Fault(u64, String),
}
