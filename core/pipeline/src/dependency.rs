//! How the pipeline treats a dependency that fails: retries, circuit breakers, and one log line per failure.

// Read in this order.
pub(crate) mod retry;
pub(crate) mod breaker;
pub(crate) mod error_chain;
