//! The endpoints that read records, totals, summaries and messages.

pub(crate) mod page;
pub(crate) mod records;
pub(crate) mod aggregates;
pub(crate) mod export;
pub(crate) mod summaries;
pub(crate) mod messages;
