//! What is read back from a store: messages by position, whole copies, checks.

// Read in this order.
pub(crate) mod feed;
pub(crate) mod export;
pub(crate) mod dry_run;
pub(crate) mod audit;
