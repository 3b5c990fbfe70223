//! Long reads of a store: the feed of messages, exports, dry runs and audits.

// Read in this order.
pub(crate) mod feed;
pub(crate) mod export;
pub(crate) mod dry_run;
pub(crate) mod audit;
