//! Test doubles: a manual clock, record generators, mocks, and a repository with injected faults.

pub(crate) mod clock;
pub mod fault_injection;
pub mod generate;
pub(crate) mod mocks;
