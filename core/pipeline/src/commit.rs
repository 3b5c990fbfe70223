//! From the intake to the outcome: records wait, are committed in batches, and are answered.

// Read in this order.
pub(crate) mod intake;
pub(crate) mod order;
pub(crate) mod writer;
pub(crate) mod bisect;
