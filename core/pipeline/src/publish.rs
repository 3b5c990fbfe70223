//! From the commit to the emitter: messages of committed batches are published and marked as published.

// Read in this order.
pub(crate) mod publisher;
pub(crate) mod handoff;
pub(crate) mod relay;
