//! From the intake to the outcome: submissions wait, their records are committed in batches, and each submission is
//! answered.

// Read in this order.
pub(crate) mod intake;
pub(crate) mod order;
pub(crate) mod writer;
pub(crate) mod bisect;
