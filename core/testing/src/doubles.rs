//! What stands in for the world in a test: a clock that a test moves on, generated records, mocks, and a gate before a
//! store.

pub(crate) mod clock;
pub mod gated;
pub mod generate;
pub(crate) mod mocks;
