//! Failing dependencies: retries, circuit breakers, and errors in one log line.

// Read in this order.
pub(crate) mod retry;
pub(crate) mod breaker;
pub(crate) mod error_chain;
