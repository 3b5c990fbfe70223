//! All that reads: short reads, and streamed answers.

pub(crate) mod records;
pub(crate) mod groups;
pub(crate) mod totals;
pub(crate) mod audit;
