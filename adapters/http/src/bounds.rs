//! Limits that callers share, and the least pace of a transfer. The rules only: other modules word the refusals.

pub(crate) mod caller;
pub(crate) mod shared_room;
pub(crate) mod body_room;
pub(crate) mod connection_limit;
pub(crate) mod pace;
