//! Test records, and invariants to check against a service.

pub mod records;
pub mod sums;
pub mod flights;
pub mod seed;
pub mod invariants;
