//! Limits that callers share, and the minimum data rate of a transfer. The rules only: other modules word the refusals.

pub(crate) mod caller;
pub(crate) mod shared_budget;
pub(crate) mod body_budget;
pub(crate) mod connection_limit;
pub(crate) mod stall_timer;
