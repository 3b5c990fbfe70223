//! Records, and what must be true of them.

pub mod records;
pub mod sums;
pub mod month;
pub mod seed;
pub mod invariants;
