//! All that reads: short reads, and answers that are streamed from one snapshot.

pub(crate) mod records;
pub(crate) mod stream;
pub(crate) mod groups;
pub(crate) mod audit;
