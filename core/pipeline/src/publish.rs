//! Publishes the messages of committed batches, and marks their outbox entries.

// Read in this order.
pub(crate) mod publisher;
pub(crate) mod handoff;
pub(crate) mod foreign_entries;
pub(crate) mod relay;
