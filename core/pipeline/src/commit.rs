//! Commits submissions in batches, and answers each.

// Read in this order.
pub(crate) mod intake;
pub(crate) mod order;
pub(crate) mod writer;
pub(crate) mod bisect;
